"""What a method may look at to pick genomes, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import nn

from emoprune.contracts import FloatArray, Reference
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import nearest
from emoprune.problems.networks.cost import CostModel
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.criteria.evidence import Scores
from emoprune.problems.networks.widths import WidthLevels
from emoprune.space import IntArray

__all__ = ["Cost", "Found", "Measure", "ReferenceInputs"]

Cost = Literal["macs", "parameters", "bytes"]
Measure = Callable[[IntArray], FloatArray]

MEASURED_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A network, the widths that its coupling groups can take, what they cost, and how to measure them.

    `scores` rank each group's units, shape (units,) each. `measure` takes genomes of shape (n, groups) and returns
    their errors, shape (n,), NaN where one cannot be measured; only the costly methods need it. References are made
    for each of the whole `percentages` of the unpruned network's `cost`. `floor` is for global-magnitude; `candidates`
    (measured per percentage) and `tries` (drawn per percentage) are for eagle-eye.

    Raises:
        ConfigError: An option is out of range.
        ContractError: The parts do not belong to one network.
    """

    structure: Structure
    cost_model: CostModel
    levels: WidthLevels
    scores: tuple[Scores, ...]
    network: nn.Module
    measure: Measure | None
    rng: np.random.Generator
    cost: Cost = "macs"
    percentages: tuple[int, ...] = (75, 50, 25)
    floor: float = 0.01
    candidates: int = 50
    tries: int = 20_000

    def __post_init__(self) -> None:
        units = self.structure.units
        if self.levels.full != units or tuple(len(own) for own in self.scores) != units:
            raise ContractError(
                f"references: expected levels and scores of coupling groups of {units} units, found "
                f"{self.levels.full} and {tuple(len(own) for own in self.scores)}"
            )
        if self.cost not in get_args(Cost):
            raise ConfigError(f"cost: nothing is counted as {self.cost!r}{nearest(self.cost, get_args(Cost))}")
        if any(not 0 < percentage < 100 for percentage in self.percentages):
            raise ConfigError(f"percentages: expected whole numbers from 1 to 99, found {list(self.percentages)}")
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"floor: expected a share from 0 to 1, found {self.floor}; 0.01 keeps small groups whole")
        if self.candidates < 1 or self.tries < self.candidates:
            raise ConfigError(
                f"candidates: expected at least 1, and at least as many tries, found {self.candidates} and {self.tries}"
            )

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

    def measured(self, genomes: IntArray, method: str) -> FloatArray:
        """Return the errors of genomes of shape (n, groups), shape (n,), infinite where one cannot be measured.

        Raises:
            ContractError: There is no `measure`, or it returned another number of errors.
        """
        if self.measure is None:
            raise ContractError(f"{method}: it measures candidates; give ReferenceInputs a `measure`")
        # Sorted, because neighbours may share their first layers; in pieces, so that few networks exist at a time.
        order = np.lexsort(genomes.T[::-1])
        errors = np.empty(len(genomes))
        for rows in np.split(order, range(MEASURED_AT_ONCE, len(order), MEASURED_AT_ONCE)):
            found = np.asarray(self.measure(genomes[rows]), dtype=np.float64)
            if found.shape != rows.shape:
                raise ContractError(f"{method}: expected {len(rows)} errors from `measure`, found shape {found.shape}")
            errors[rows] = found
        return np.where(np.isfinite(errors), errors, np.inf)


@dataclass(frozen=True, slots=True)
class Found:
    """The references of one method, how many evaluations they took, and what a person should know about them."""

    references: tuple[Reference, ...]
    evaluations: int = 0
    notes: tuple[str, ...] = ()
