"""Problems with one gene per layer that keep the network's shape: its weights are zeroed or rounded, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Reference, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.evaluation.blocks import Averages
from emoprune.problems.networks.evaluation.graded import GradedByImages
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.layers.export import export_packed
from emoprune.problems.networks.layers.inspection import inspection_of_layers
from emoprune.problems.networks.layers.options import LayerOptions
from emoprune.problems.networks.layers.packed import PACKED, Treated
from emoprune.problems.networks.layers.prepare import LayersPrepared, Method, Tensors, prepared_layers, reference_inputs
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.layers.treatments.treater import Treater
from emoprune.problems.networks.task import MEGABYTE, NetworkTask
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.found_references import picked_by
from emoprune.records import Candidate, Split
from emoprune.space import IntArray

__all__ = ["Layerwise", "for_activations"]

NOTES = (
    "Its weights were zeroed or rounded layer by layer; all tensors have the shapes that they had, as 32-bit floats.",
    "The bytes that are counted are those of the format `packed`; macs and parameters count weights that are not zero.",
    "A dense kernel runs it no faster than the unpruned network.",
)
WEIGHTS_SHARE = 8  # one part in so many of the cache is for treated weights


def for_activations(cache_megabytes: int) -> int:
    """Return how much of a worker's cache is left for activations beside treated weights, in megabytes."""
    return cache_megabytes - cache_megabytes // WEIGHTS_SHARE


class Layerwise(GradedByImages):
    """One ordered gene per convolution and linear layer: how strongly a treatment acts on it, the highest not at all.

    Args:
        options: Network, data, measures and references.
        treatment: What is done to a layer's weight.
        ranking: The name of what ranks weights.
        scored: Returns the scores of each layer's weights by the layer's path, or none.

    Raises:
        ConfigError: No layer can be treated.
    """

    def __init__(
        self, options: LayerOptions, treatment: Treatment, ranking: str, scored: Callable[[Evidence], Tensors]
    ) -> None:
        references = plugins.methods("reference", options.references, options.problem, option="references")
        self._method = Method(ranking, scored, references)
        megabytes = options.cache_megabytes
        self._task = task = NetworkTask(replace(options, cache_megabytes=for_activations(megabytes)))
        self._weights_bytes = megabytes // WEIGHTS_SHARE * MEGABYTE
        every = task.cost_model.weight_shapes()
        wanted = [(part, shape) for part, shape in every if not task.ignored(part.path)]
        if not wanted:
            raise ConfigError("ignore: all convolutions and linear layers of the network are in it; leave one to prune")
        self._levels = LayerLevels.of(wanted, treatment)
        if not self._levels.layers:
            raise ConfigError(
                f"network: none of its layers ({', '.join(self._levels.untouched)}) can be changed at any of the "
                f"levels {', '.join(treatment.labels)}; choose others"
            )
        task.measures.check_references(references)
        self._kept: LayersPrepared | None = None
        self._seed = 0
        self._folder: Path | None = None
        self._held: Loaded | None = None
        self._treater: Treater | None = None
        self.space = self._levels.space
        self.objectives = task.measures.objectives
        self.constraints = task.measures.constraints
        self.formats: tuple[str, ...] = (PACKED, *task.formats)

    def check(self) -> None:
        """Find out before there is a run whether network, weights, data and bounds fit together."""
        self._task.check(self._counted(np.zeros((1, len(self.space)), dtype=np.int64))[0])

    def alarms(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> list[str]:
        """Return what is alarming in what was measured: scores at chance level."""
        return self._task.alarms(candidates, values)

    def prepare(self, folder: Path, seed: int) -> None:
        """Train or load the unpruned network into `folder`, rank its weights, and make the references."""
        self._task.prepare(folder, seed)
        self._kept = prepared_layers(self._task, self._levels, self._method, folder, seed)
        self._seed, self._folder = seed, folder

    def setup(self, device: str, threads: int) -> None:
        """Load network and images to `device`."""
        self._held = self._task.load(device, threads, self._prepared.precision)
        self._treater = Treater(self._held.bench.network, self._levels, self._prepared.ranks, self._weights_bytes)

    @property
    def _prepared(self) -> LayersPrepared:
        if self._kept is None:
            raise ContractError("the weights are not ranked yet; call prepare(folder, seed) first")
        return self._kept

    @property
    def _loaded(self) -> Loaded:
        if self._held is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._held

    def _variant(self, genome: IntArray) -> Variant:
        if self._treater is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._treater.variant(self._levels.decode(genome[np.newaxis])[0])

    def _counted(self, genomes: IntArray) -> list[dict[str, float]]:
        return self._levels.counted(genomes, self._task.measures.unpruned)

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        rows: list[Row] = []
        # One network after the other, so that only one exists at a time, beside what the memory keeps.
        for genome, counted in zip(genomes, self._counted(genomes), strict=True):
            rows += self._loaded.rows([self._variant(genome)], [counted], split)
        return rows

    @property
    def _averages(self) -> Averages:
        return self._task.averages

    @property
    def _measuring(self) -> Loaded:
        return self._loaded

    def _candidate(self, genome: IntArray) -> tuple[Variant, Mapping[str, float]]:
        return self._variant(genome), self._counted(genome[np.newaxis])[0]

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned network, then what a user would have picked without a search."""
        return self._prepared.references

    def starts(self) -> IntArray:
        """Return what has to be measured for the references that measure, shape (n, layers)."""
        found = [genomes for own in self._prepared.starts.values() for genomes in own.values()]
        return np.concatenate([np.zeros((0, len(self.space)), dtype=np.int64), *found])

    def surveyed(self, genomes: IntArray, values: NDArray[np.float64]) -> list[Reference]:
        """Return the references that are picked from what was measured of genomes, shape (n, layers)."""
        if not self._prepared.starts:
            return []
        measured = self._task.measured_errors(self.space, genomes, values)
        inputs = reference_inputs(self._task.bench("cpu"), self._levels, self._seed)
        return picked_by(self._method.references, inputs, self._prepared.starts, measured)

    def describe(self, genome: IntArray) -> Description:
        """Say what is left of each layer and what that costs."""
        labels, levels = self._levels.treatment.labels, self._levels.decode(genome[np.newaxis])[0]
        described: dict[str, str | int | float] = {
            part.path: labels[level] for part, level in zip(self._levels.parts, levels.tolist(), strict=True)
        }
        return described | self._task.described(self._counted(genome[np.newaxis])[0])

    def inspect(self) -> Inspection:
        """Return the layers, what each can be reduced to, and whether the bounds can be met."""
        task = self._task
        return inspection_of_layers(
            task.options.network, self._levels, task.measures, [*task.data.notes, *task.notes()]
        )

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the treated network into `folder` in the first format, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the treated network into `folder`, loadable without emoprune; verified in a fresh process.

        Raises:
            ConfigError: A format is not known.
            ContractError: The reloaded network is not the evaluated one.
        """
        return self._write(self._loaded.runner.settled(self._variant(genome)), genome, folder, formats, verify=verify)

    def _check_names(self, formats: Sequence[str]) -> None:
        unknown = [name for name in formats if name not in self.formats]
        if unknown:
            raise ConfigError(f"format: none is called {unknown[0]!r}; expected some of {', '.join(self.formats)}")

    def _possible(self, formats: Sequence[str]) -> Sequence[str]:
        """Return the formats, packed where none is named, found out to be possible before anything is trained."""
        self._check_names(formats)
        others = [name for name in formats if name != PACKED]
        if others:
            self._task.formats_to_write(self._loaded, others)
        return formats or self.formats[:1]

    def _write(
        self, settled: Variant, genome: IntArray, folder: Path, formats: Sequence[str], *, verify: bool
    ) -> Description:
        """Write a network with zeros or roundings of this genome, and return what was measured and verified of it."""
        self._check_names(formats)
        counted, described = self._counted(genome[np.newaxis])[0], self.describe(genome)
        bench, levels = self._loaded.bench, self._levels.decode(genome[np.newaxis])[0]
        others = [name for name in formats if name != PACKED]
        found: dict[str, str | int | float] = {}
        if others:
            found |= self._task.export(
                self._loaded,
                settled,
                folder,
                kept=self._task.structure.full,
                counted=counted,
                described=described,
                formats=others,
                verify=verify,
                notes=NOTES,
            )
        if PACKED in formats:
            found |= export_packed(
                folder,
                Treated(settled.network, bench.network, self._levels, levels, int(counted["bytes"])),
                bench,
                source=self._task.options.network,
                described=described,
                counted=(counted, self._task.measures.unpruned),
                verify=verify,
            )
        return found

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves; sending loaded tensors would send everything twice.
        return {**vars(self), "_held": None, "_treater": None}
