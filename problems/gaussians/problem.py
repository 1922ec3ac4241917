"""Which Gaussians of an image or a scene to keep: squared error against the tiles that a renderer works through."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Objective, Picture, Recovered, Reference, Row, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.gaussians.criteria.contract import Evidence
from emoprune.problems.gaussians.criteria.efficiency import METASAPIENS
from emoprune.problems.gaussians.genes import GaussianGenes, strata_of
from emoprune.problems.gaussians.images import ImageScene, fitted, image_named, part_pixels, views_of
from emoprune.problems.gaussians.measured import Seen
from emoprune.problems.gaussians.options import GaussianOptions
from emoprune.problems.gaussians.points import PointScene, points_named, view_pixels
from emoprune.problems.gaussians.recovery.contract import Case
from emoprune.problems.gaussians.references.contract import ReferenceInputs
from emoprune.problems.gaussians.scene import Scene, Tensors, picture_of, seen, taken, tile_work
from emoprune.problems.pictures.images import image
from emoprune.problems.pictures.svg import document
from emoprune.problems.scoring.blocks import RowBlocks, averaged
from emoprune.problems.scoring.measures import Measures
from emoprune.problems.storage.arrays import kept_arrays
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.storage.found_references import each_once, found_unmeasured_by
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = ["GaussiansProblem"]

NAME = "gaussians"


@about("pruning", ["gaussians"], cost="each view, drawn once", papers=[METASAPIENS])
class GaussiansProblem:
    """Prune Gaussians that draw an image or a scene: shares of strata by opacity and size, ranked by a criterion.

    Gaussians of an image are fitted to half of its pixels; others are searched, selected and reported on. What a scene
    is to show is what all of its Gaussians show, from other cameras in each part.

    Source: RTGS: Enabling Real-Time Gaussian Splatting on Mobile Devices Using Efficiency-Guided Pruning and Foveated
    Rendering (arXiv 2407.00435).
    """

    options: ClassVar[type[GaussianOptions]] = GaussianOptions

    def __init__(self, **given: Any) -> None:
        self._own = own = GaussianOptions(**given)
        self._given = points_named(own.data) if own.in_space else image_named(own.data, own.size)
        self._measures = Measures.of(own.objectives, NAME)
        self._criteria = plugins.methods("criterion", own.criteria, NAME, option="criteria")
        self._methods = plugins.methods("reference", own.references, NAME, option="references")
        self._scene: Scene | None = None
        self._genes: GaussianGenes | None = None
        counts = view_pixels(own.size) if own.in_space else part_pixels(own.size**2)
        self._blocks = RowBlocks.dealt({split: np.zeros(counts[split.value]) for split in Split})
        self._references: tuple[Reference, ...] = ()

    @property
    def _known(self) -> tuple[Scene, GaussianGenes]:
        if self._scene is None or self._genes is None:
            raise ContractError("the Gaussians are not known yet; call prepare(folder, seed) first")
        return self._scene, self._genes

    @property
    def space(self) -> Space:
        """The ranking, and the share of each stratum that stays."""
        return self._known[1].space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is made better."""
        return self._measures.objectives()

    @property
    def _count(self) -> int:
        return len(self._known[0].tensors["opacities"])

    @property
    def noisy(self) -> tuple[str, ...]:
        """What is a mean over pixels."""
        return self._measures.noisy

    @property
    def grades(self) -> tuple[int, ...]:
        """After how many blocks it is asked who goes on."""
        return self._blocks.grades

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return how many pixels each block has."""
        return self._blocks.sizes(split)

    def inspect(self) -> Inspection:
        """Return what there is to prune, before anything is fitted."""
        own, count = self._own, len(self._given) if self._own.in_space else self._own.gaussians
        what = "a scene, seen from a ring of cameras" if own.in_space else "an image, to which they are fitted"
        return Inspection({"data": own.data, "Gaussians of": what, "Gaussians": count, "pixels across": own.size})

    def prepare(self, folder: Path, seed: int) -> None:
        """Fit Gaussians and rank them, once; and let the methods find references. All randomness comes from `seed`."""
        self._scene = scene = self._made(folder, seed)

        def scores() -> dict[str, NDArray[np.float64]]:
            evidence = Evidence(scene, seed)
            return {name: self._scored(name, evidence) for name in self._criteria}

        found = kept_arrays(folder / "scores.safetensors", scores)
        strata = strata_of(scene.opacities(), scene.sizes())
        self._genes = genes = GaussianGenes({name: found[name] for name in self._criteria}, strata)
        inputs = ReferenceInputs(genes, np.random.default_rng(seed))
        picked = found_unmeasured_by(self._methods, inputs, "nothing is measured before Gaussians are searched")
        self._references = each_once([Reference("unpruned", genes.unpruned), *picked], genes.space, genes.canonical)

    def _made(self, folder: Path, seed: int) -> Scene:
        own = self._own
        if own.in_space:
            return PointScene.of(self._given, own.size)
        arrays = kept_arrays(folder / "splats.safetensors", lambda: fitted(self._given, own.gaussians, own.steps, seed))
        tensors = {name: torch.from_numpy(np.array(each)) for name, each in arrays.items()}
        return ImageScene(tensors, views_of(self._given, seed))

    def _scored(self, name: str, evidence: Evidence) -> NDArray[np.float64]:
        scores = np.ascontiguousarray(self._criteria[name](evidence), dtype=np.float64)
        if scores.shape != (evidence.count,) or not np.isfinite(scores).all():
            raise ContractError(
                f"criterion {name!r}: expected a finite score for each of {evidence.count} Gaussians, found shape "
                f"{scores.shape} or scores that are not finite"
            )
        return scores

    def setup(self, device: str, threads: int) -> None:  # noqa: ARG002  # what is drawn is small
        """Draw with `threads` threads."""
        torch.set_num_threads(threads)

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> Sequence[Row]:
        """Return the objectives of each genome on a part of the pixels or views."""
        rows = self.evaluate_blocks(genomes, seeds, split, self._blocks.whole(split))
        sizes = self._blocks.sizes(split)
        return [averaged(each, sizes) if isinstance(each, np.ndarray) else each for each in rows]

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # nothing is drawn at random
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return the objectives of each genome block by block."""
        scene, genes = self._known
        rows: list[Row] = []
        for genome in genomes:
            kept = genes.decoded(genome)
            rows.append(self._rows(kept, taken(scene.tensors, kept), Split(split), blocks))
        return rows

    def _rows(self, kept: IntArray, tensors: Tensors, split: Split, blocks: range) -> Row:
        scene, of_split = self._known[0], self._blocks.of_split[split]
        with torch.no_grad():
            colours, target = (each.numpy() for each in seen(scene, tensors, split.value))
            work: list[float] = []

            def tiles() -> float:
                work[:] = work or [tile_work(scene, tensors, split.value)]
                return work[0]

            pieces = [of_split[block] for block in blocks]
            return self._measures.rows([Seen(kept, colours[own], target[own], tiles) for own in pieces])

    def references(self) -> tuple[Reference, ...]:
        """Return all Gaussians, then what a user would have picked without a search."""
        if self._genes is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._references

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return the representatives of genomes that keep the same."""
        return self._known[1].canonical(genomes)

    def describe(self, genome: IntArray) -> Description:
        """Say how many Gaussians stay, of which strata."""
        _, genes = self._known
        kept = genes.decoded(genome)
        shares = [f"{name} {level * 5} %" for name, level in zip(genes.strata, genome[1:].tolist(), strict=True)]
        return {
            "Gaussians": len(kept),
            "of": self._count,
            "ranked by": list(genes.scores)[int(genome[0])],
            "kept": "; ".join(shares),
        }

    def picture(self, genome: IntArray) -> Picture:
        """Draw the picture before and after, as it is seen first in `test`."""
        scene, genes = self._known
        view, kept = scene.views["test"][0], genes.decoded(genome)
        with torch.no_grad():
            before, after = picture_of(scene, scene.tensors, view), picture_of(scene, taken(scene.tensors, kept), view)
        panels = [image("all Gaussians", before), image(f"{len(kept)} of {self._count}", after)]
        if not self._own.in_space:
            panels.insert(0, image("the image", self._given))
        return Picture(f"{len(kept)} of {self._count} Gaussians", document(panels))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the Gaussians that stay: a point file, or flat splats with what draws them.

        Raises:
            ContractError: What was reloaded differs.
            StorageError: The folder cannot be written.
        """
        scene, genes = self._known
        kept = genes.decoded(genome)
        return {**self.describe(genome), **self._written(taken(scene.tensors, kept), kept, folder)}

    def _written(self, tensors: Tensors, kept: IntArray, folder: Path) -> dict[str, str]:
        with about_folder(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files = self._known[0].write(tensors, kept, folder)
        return {"files": files, "verified": "in a fresh process without emoprune"}

    def recover(
        self,
        genome: IntArray,
        folder: Path,
        seed: int,
        *,
        method: Annotated[str | Mapping[str, Any], plugins.naming("recovery", NAME)] = "scale-decay",
        steps: int = 60,
    ) -> Recovered:
        """Train the Gaussians that stay on the pictures that were fitted to, and measure them again.

        Args:
            genome: Which stay.
            folder: Where they are written.
            seed: All randomness.
            method: How: a recovery's name or import target, or a mapping of that and options.
            steps: Of training.

        Raises:
            ConfigError: There is no such recovery, or an option is wrong.
            ContractError: What was reloaded differs.
        """
        if steps < 1:
            raise ConfigError(f"steps: expected at least one step of training, found {steps}")
        (scene, genes), blocks = self._known, self._blocks
        kept = genes.decoded(genome)
        recovery = plugins.method("recovery", method, NAME, option="method")
        tensors = dict(recovery(Case(scene, taken(scene.tensors, kept), steps, seed)))
        values = {}
        for split in (Split.SELECT, Split.TEST):
            row = self._rows(kept, tensors, split, blocks.whole(split))
            if not isinstance(row, np.ndarray):
                raise ContractError(f"recover: expected numbers after training, found {row}; lower the rate")
            values[split.value] = dict(
                zip(self._measures.known, averaged(row, blocks.sizes(split)).tolist(), strict=True)
            )
        return Recovered(values, {"steps": steps, **self._written(tensors, kept, folder)})

    def fingerprint(self) -> str:
        """Return a digest of the image or the points."""
        return hashlib.sha256(np.ascontiguousarray(self._given).tobytes()).hexdigest()
