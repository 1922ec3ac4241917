"""A trained network, its images, and genomes from a real search of its widths, the same for everyone who is timed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import emoprune
from emoprune.contracts import Description, Objective, Reference
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.process import structure_of
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench, unpruned_network
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.runner import runner_of
from emoprune.problems.networks.evaluation.scoring import LoadedImages, calibration_images
from emoprune.problems.networks.unpruned.by_name import data_named
from emoprune.problems.networks.unpruned.recipe import Recipe, unpruned_weights
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Source", "WidthSearch", "levels_of", "scores_of", "searched"]

SEED = 1
WIDTHS = 16


@dataclass(frozen=True, slots=True)
class Source:
    """Which network and data, how many images score and calibrate, and a folder for the weights."""

    network: str
    data: str
    scored: int
    calibrating: int
    folder: str

    @classmethod
    def best(cls, folder: str, *, quick: bool) -> Source:
        """Return the fashion network and data, or the digits where fashion is not installed or time is short."""
        if not quick and _installed("fashion"):
            return cls("fashion-vgg", "fashion", 1000, 512, folder)
        return cls("digits", "digits", 64 if quick else 1000, 64 if quick else 512, folder)

    def bench(self) -> Bench:
        """Return the trained network with its images; the first call trains it or takes it from the user's cache."""
        data = data_named(self.data)
        weights = unpruned_weights(Path(self.folder), Recipe.of(self.network, self.data, None, None), data, SEED)
        network = unpruned_network(self.network, weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs miss this form
        structure = self._structure(data.input_shape)
        images = {split: LoadedImages.load(_first(data, split, self.scored), "cpu") for split in Split}
        calibration = calibration_images(data.train, min(self.calibrating, len(data.train)), "cpu")
        return Bench(network, structure, calibration, images, "cpu")

    def _structure(self, input_shape: tuple[int, ...]) -> Structure:
        path = Path(self.folder) / "structure.json"
        if not path.exists():
            found = structure_of(self.network, input_shape, (), 300.0)
            path.write_text(json.dumps(found.as_json()), encoding="utf-8")
        return Structure.from_json(json.loads(path.read_text(encoding="utf-8")))


def _installed(name: str) -> bool:
    try:
        data_named(name)
    except ConfigError:
        return False
    return True


def _first(data: ImageData, split: Split, count: int) -> LabelledImages:
    part = data.part(split)
    return LabelledImages(part.images[:count], part.labels[:count])


def levels_of(bench: Bench, round_to: int = 1) -> WidthLevels:
    """Return the widths that the search chooses from."""
    return WidthLevels.of(bench.structure.groups, WIDTHS, round_to)


def scores_of(bench: Bench) -> list[Scores]:
    """Return what ranks the units."""
    return L1()(Evidence(bench.network, bench.structure, bench.calibration, SEED))


class WidthSearch:
    """The widths of one network against error and multiply-accumulates; keeps every batch of widths it is asked for."""

    def __init__(self, bench: Bench, round_to: int = 1) -> None:
        self._bench = bench
        self._levels = levels_of(bench, round_to)
        self._cost = CostModel.of(bench.network, bench.structure)
        self._slicer = Slicer(bench, scores_of(bench))
        self._runner = runner_of(bench, AdaptiveBatchNorm(), 1024 * 2**20, "float32").runner
        self.asked: list[IntArray] = []
        self.space = self._levels.space
        full = np.array([bench.structure.units], dtype=np.int64)
        self.objectives = (Objective("error", worst=1.0), Objective("macs", worst=float(self._cost.macs(full)[0])))

    def setup(self, device: str, threads: int) -> None:
        """Nothing to load: the search runs in this process."""

    def evaluate(self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split) -> NDArray[np.float64]:  # noqa: ARG002  # the engine passes all three
        """Return error and multiply-accumulates of each genome."""
        widths = self._levels.decode(genomes)
        if split is Split.SEARCH:
            self.asked.append(widths)
        variants = [self._slicer.variant(own) for own in widths]
        labels = self._bench.images[split].labels
        outputs = self._runner.outputs(variants, split)
        errors = [float((each.argmax(dim=1) != labels).double().mean()) for each in outputs]
        return np.stack([np.array(errors), self._cost.macs(widths).astype(np.float64)], axis=1)

    def references(self) -> Sequence[Reference]:
        """Return the unpruned genome."""
        return (Reference("unpruned", self.space.full),)

    def describe(self, genome: IntArray) -> Description:
        """Say how wide each coupling group is."""
        return dict(zip(self._levels.names, self._levels.decode(genome[np.newaxis])[0].tolist(), strict=True))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the widths as JSON."""
        widths = self.describe(genome)
        (folder / "widths.json").write_text(json.dumps(widths), encoding="utf-8")
        return widths


def searched(  # noqa: PLR0917  # one per setting of the search
    bench: Bench, folder: Path, population: int, generations: int, round_to: int = 1, crossover: str = "uniform"
) -> WidthSearch:
    """Search the widths of a network by NSGA-II in this process, and return the problem with what it was asked."""
    problem = WidthSearch(bench, round_to)
    config = {
        "problem": {"name": "given"},
        "search": {"population": population, "generations": generations, "crossover": crossover, "seed": SEED},
        "evaluation": {"backend": "serial", "threads": 1, "time_limit": None},
    }
    for _ in emoprune.search(config, problem=problem, runs=folder, name=f"rounded-{round_to}"):
        pass
    return problem
