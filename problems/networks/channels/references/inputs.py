"""What a method may look at to pick the widths of coupling groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import nn

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError, ContractError
from emoprune.plugins import nearest
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.space import IntArray, Space

__all__ = ["Cost", "ReferenceInputs"]

Cost = Literal["macs", "parameters", "bytes"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """A network, the widths that its coupling groups can take, and what they cost: what a reference method is given.

    `network` is the unpruned one, in eval mode on the CPU, and stays as it is. `scores` rank each group's units, shape
    (units,) each, the best ones highest. Targets are shares of the unpruned network's `cost`. All randomness comes from
    `rng`.

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
    def space(self) -> Space:
        """One ordered gene per coupling group: the widths that it can take, narrow ones first."""
        return self.levels.space

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
