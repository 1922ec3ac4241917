"""What a method may look at to pick genomes, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from torch import nn

from emoprune.contracts import FloatArray, Reference
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import nearest
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.storage.kept_references import Starts
from emoprune.space import IntArray

__all__ = ["Cost", "Found", "Measured", "Measuring", "Method", "ReferenceInputs"]

Cost = Literal["macs", "parameters", "bytes"]
Measured = Callable[[IntArray], FloatArray]  # genomes (n, groups) to errors (n,), infinite where nothing was measured


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A network, the widths that its coupling groups can take, and what they cost.

    `scores` rank each group's units, shape (units,) each. Targets are shares of the unpruned network's `cost`.

    Raises:
        ConfigError: Nothing is counted as `cost`.
        ContractError: The parts do not belong to one network.
    """

    structure: Structure
    cost_model: CostModel
    levels: WidthLevels
    scores: tuple[Scores, ...]
    network: nn.Module
    rng: np.random.Generator
    cost: Cost = "macs"

    def __post_init__(self) -> None:
        units = self.structure.units
        if self.levels.full != units or tuple(len(own) for own in self.scores) != units:
            raise ContractError(
                f"references: expected levels and scores of coupling groups of {units} units, found "
                f"{self.levels.full} and {tuple(len(own) for own in self.scores)}"
            )
        if self.cost not in get_args(Cost):
            raise ConfigError(f"cost: nothing is counted as {self.cost!r}{nearest(self.cost, get_args(Cost))}")

    def costs(self, genomes: IntArray) -> IntArray:
        """Return what genomes of shape (n, groups) cost, shape (n,)."""
        model = self.cost_model
        counted = {"macs": model.macs, "parameters": model.parameters, "bytes": model.bytes}[self.cost]
        return counted(self.levels.decode(genomes))

    @property
    def unpruned(self) -> IntArray:
        """The genome of the unpruned network, shape (groups,)."""
        return self.levels.encode(np.array(self.levels.full))

    @property
    def unpruned_cost(self) -> int:
        """What the unpruned network costs."""
        return int(self.costs(self.unpruned[np.newaxis])[0])

    def genomes_near(self, wanted: FloatArray) -> IntArray:
        """Return the genomes of the widths nearest to `wanted` units, both (n, groups); the wider of two equally near.

        The narrowest width is the least, so no group is ever left empty.
        """
        between = [(widths[1:] + widths[:-1]) / 2 for widths in self.levels.table]
        columns = [np.searchsorted(middle, wanted[:, group], side="right") for group, middle in enumerate(between)]
        return np.stack(columns, axis=1).astype(np.int64)

    def genomes_of_shares(self, shares: FloatArray) -> IntArray:
        """Return the genomes nearest to `shares` of each group's units, both (n, groups)."""
        return self.genomes_near(shares * np.array(self.levels.full))


@dataclass(frozen=True, slots=True)
class Found:
    """The references of one method, what has to be measured for more of them, and what a person should know."""

    references: tuple[Reference, ...] = ()
    starts: Starts = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Method(Protocol):
    """Picks genomes without a search; its options are its own."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return the references that nothing has to be measured for, and what has to be for others."""
        ...


@runtime_checkable
class Measuring(Method, Protocol):
    """Picks some of its genomes from what was measured."""

    def picked(self, inputs: ReferenceInputs, starts: Starts, measured: Measured) -> Found:
        """Return more references, from the errors of `starts`, which `found` returned."""
        ...
