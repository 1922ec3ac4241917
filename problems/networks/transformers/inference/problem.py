"""What all problems of inference share: measures, references, and rows from what was seen of a candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Description, Failure, Found, Reference, Row, Starts
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.transformers.inference.measures import SeenInference
from emoprune.problems.networks.transformers.inference.options import InferenceOptions
from emoprune.problems.networks.transformers.references.kept import KeptReferences
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.storage.found_references import Methods, each_once, found_by
from emoprune.records import Split
from emoprune.space import IntArray, Space

__all__ = ["InferenceProblem"]

FORMATS = ("policy",)


class InferenceProblem(ABC):
    """A problem whose genomes are policies of what a model leaves out while it runs; its weights stay as they are.

    Args:
        options: Model, measures and references.
        space: The genes.
        unpruned: What the whole model uses, by what is counted.
        usual: The objectives unless some are named.
    """

    formats: tuple[str, ...] = FORMATS

    def __init__(
        self,
        options: InferenceOptions | TransformerOptions,
        space: Space,
        unpruned: Mapping[str, float],
        usual: Sequence[str],
    ) -> None:
        self._options, self.space = options, space
        self._references = KeptReferences(options.references, options.problem)
        chosen = tuple(options.objectives) or tuple(usual)
        self._measures = Measures.of(chosen, options.at_most or {}, unpruned, options.problem)
        self._measures.check_references(self._references.methods)
        self.objectives = self._measures.objectives
        self.constraints = self._measures.constraints

    @abstractmethod
    def record(self, folder: Path, seed: int) -> None:
        """Compute, or take from `folder`, what the unpruned model says of the data."""

    @abstractmethod
    def load(self, device: str) -> None:
        """Load the model, and what was recorded, to `device`."""

    @abstractmethod
    def seen(self, genome: IntArray, split: Split) -> SeenInference:
        """Run what a genome leaves of the model on one part of the data."""

    @abstractmethod
    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome, shape (n, genes), the one that stands for its policy."""

    @abstractmethod
    def reference_inputs(self, seed: int) -> Any:
        """Return what reference methods look at."""

    @abstractmethod
    def describe(self, genome: IntArray) -> Description:
        """Say in a person's words what a policy keeps."""

    @abstractmethod
    def write(self, genome: IntArray, folder: Path, *, verify: bool) -> Description:
        """Write a policy and what applies it into `folder`."""

    def prepare(self, folder: Path, seed: int) -> None:
        """Record what the unpruned model computes, and make the references, once per run."""
        folder.mkdir(parents=True, exist_ok=True)
        self.record(folder, seed)
        self._references.keep(folder, self.space, lambda methods: self._made(methods, seed))

    def _made(self, methods: Methods, seed: int) -> tuple[tuple[Reference, ...], Mapping[str, Starts]]:
        found: dict[str, Found] = found_by(methods, self.reference_inputs(seed))
        references = [Reference("unpruned", self.space.full)]
        for each in (own for one in found.values() for own in one.references):
            self.space.check(each.genome[np.newaxis], f"reference {each.name!r}")
            references.append(each)
        return each_once(references, self.space, self.canonical), {
            name: own.starts for name, own in found.items() if own.starts
        }

    def references(self) -> tuple[Reference, ...]:
        """Return the whole model, then what a user would have picked without a search."""
        return self._references.found

    def starts(self) -> IntArray:
        """Return what has to be measured for the references that measure, shape (n, genes)."""
        return self._references.starts(len(self.space))

    def setup(self, device: str, threads: int) -> None:
        """Load model and records to `device`."""
        torch.set_num_threads(threads)
        check_device(device)
        self.load(device)

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        return [self._row(genome, split) for genome in genomes]

    def _row(self, genome: IntArray, split: Split) -> Row:
        with torch.inference_mode():
            seen = self.seen(genome, split)
        if not np.isfinite(seen.losses).all():
            return Failure("the model's outputs are not finite")
        return self._measures.row(self._measures.values(seen))

    def values(self, genome: IntArray, split: Split) -> dict[str, float]:
        """Return the objectives of a genome by name."""
        row = self._row(genome, split)
        if isinstance(row, Failure):
            raise ContractError(f"expected a candidate that can be measured, found: {row.reason}")
        return dict(zip(self._measures.columns, map(float, row), strict=True))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the policy into `folder`, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the policy and the code that applies it to a model of transformers; verified in a fresh process.

        Raises:
            ConfigError: There is no such format.
            ContractError: The model answers otherwise there, or uses something else than was counted.
        """
        if tuple(formats) != self.formats:
            raise ConfigError(f"format: expected {self.formats[0]}, found {', '.join(formats)}")
        return self.write(genome, folder, verify=verify)
