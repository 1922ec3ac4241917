"""Which widths each coupling group can take, and which of them a genome's levels mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.structure import CouplingGroup
from emoprune.space import IntArray, Space

__all__ = ["WidthLevels"]


@dataclass(frozen=True, slots=True)
class WidthLevels:
    """The widths of each coupling group in units, from narrow to the full one.

    Level k of a group with w units and `steps` steps means ceil(w (k + 1) / steps) units, rounded up to a multiple of
    `round_to` and never above w; equal widths count once, and none is below `smallest` of w. No group ever reaches 0.
    Whole numbers throughout: a share of 0.9 of 10 is 9, whatever the last bit of a float says.
    """

    names: tuple[str, ...]
    full: tuple[int, ...]
    steps: int
    round_to: int = 1
    smallest: float = 0.0
    table: tuple[IntArray, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ConfigError(f"widths: expected at least 2 widths per coupling group, found {self.steps}")
        if self.round_to < 1:
            raise ConfigError(f"round_to: expected 1 or more, such as 8, 16 or 32, found {self.round_to}")
        if not 0 <= self.smallest <= 1:
            raise ConfigError(f"smallest: expected a share from 0 to 1, found {self.smallest}; 0 would empty no group")
        object.__setattr__(self, "table", tuple(self._widths(width) for width in self.full))

    @classmethod
    def of(cls, groups: Sequence[CouplingGroup], steps: int, round_to: int = 1, smallest: float = 0.0) -> WidthLevels:
        """Return the widths of a network's coupling groups."""
        names = tuple(group.name for group in groups)
        return cls(names, tuple(group.units for group in groups), steps, round_to, smallest)

    def _widths(self, full: int) -> IntArray:
        even = -(-full * np.arange(1, self.steps + 1) // self.steps)
        rounded = -(-even // self.round_to) * self.round_to
        floor = int(
            np.ceil(self.smallest * full - 1e-9)
        )  # 0.3 of 10 is 3, not the 4 that 3.0000000000000004 would give
        return np.unique(np.minimum(np.maximum(rounded, floor), full))

    @property
    def space(self) -> Space:
        """One ordered gene per coupling group."""
        return Space.ordered((name, len(widths)) for name, widths in zip(self.names, self.table, strict=True))

    def decode(self, genomes: IntArray) -> IntArray:
        """Return the widths that genomes of shape (n, groups) mean, in the same shape."""
        columns = [widths[genomes[:, group]] for group, widths in enumerate(self.table)]
        return np.stack(columns, axis=1)

    def encode(self, wanted: ArrayLike) -> IntArray:
        """Return the genome, shape (groups,), of the narrowest widths that are not below `wanted` in any group."""
        at_most_full = np.minimum(np.asarray(wanted), self.full)
        levels = [np.searchsorted(widths, width) for widths, width in zip(self.table, at_most_full, strict=True)]
        return np.array(levels, dtype=np.int64)
