"""Which widths each layer can take, and which of them a genome's levels mean."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from emoprune.errors import ConfigError
from emoprune.space import IntArray, Space

__all__ = ["WidthLevels"]


@dataclass(frozen=True, slots=True)
class WidthLevels:
    """The widths of each prunable layer, from narrow to the full one.

    Level k of a layer with w channels and `steps` steps means ceil(w (k + 1) / steps) channels; equal widths count
    once, so a layer with fewer channels than steps has one level per channel. No layer ever reaches 0 channels.
    """

    names: tuple[str, ...]
    full: tuple[int, ...]
    steps: int
    table: tuple[IntArray, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ConfigError(f"widths: expected at least 2 widths per layer, found {self.steps}")
        table = tuple(np.unique(-(-width * np.arange(1, self.steps + 1) // self.steps)) for width in self.full)
        object.__setattr__(self, "table", table)

    @property
    def space(self) -> Space:
        """One ordered gene per layer."""
        return Space.ordered((name, len(widths)) for name, widths in zip(self.names, self.table, strict=True))

    def decode(self, genomes: IntArray) -> IntArray:
        """Return the widths that genomes of shape (n, layers) mean, in the same shape."""
        columns = [widths[genomes[:, layer]] for layer, widths in enumerate(self.table)]
        return np.stack(columns, axis=1)

    def encode(self, wanted: ArrayLike) -> IntArray:
        """Return the genome, shape (layers,), of the narrowest widths that are not below `wanted` in any layer."""
        at_most_full = np.minimum(np.asarray(wanted), self.full)
        levels = [np.searchsorted(widths, width) for widths, width in zip(self.table, at_most_full, strict=True)]
        return np.array(levels, dtype=np.int64)
