"""Which genomes are new: everything ever asked for is remembered, and a small space can be asked for what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from emoprune.space import IntArray, Space

__all__ = ["Duplicates"]

ENUMERABLE = 1 << 22  # genomes; spaces of up to so many are searched to the last one
CHUNK = 1 << 14  # genomes that are unpacked at a time


@dataclass(slots=True)
class Duplicates:
    """Remembers every genome ever asked for, by packed key, and which of them came in this generation."""

    space: Space
    _known: set[bytes] = field(default_factory=set)
    _this_generation: set[bytes] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, genomes: IntArray) -> None:
        """Add genomes of shape (n, genes)."""
        self._known.update(self.space.keys(genomes))

    def new_rows(self, genomes: IntArray) -> IntArray:
        """Return the row indices of the genomes that are new, in order, equal ones once; they stay new."""
        rows = self._first_rows(self.space.keys(genomes))
        return np.array(sorted(rows[key] for key in rows.keys() - self._known), dtype=np.int64)

    def first_new(self, genomes: IntArray, limit: int) -> IntArray:
        """Return the row indices of the first `limit` genomes that are new, and remember these."""
        keys = self.space.keys(genomes)
        rows = self._first_rows(keys)
        chosen = sorted(rows[key] for key in rows.keys() - self._known)[: max(0, limit)]
        new = [keys[row] for row in chosen]
        self._known.update(new)
        self._this_generation.update(new)
        return np.array(chosen, dtype=np.int64)

    @staticmethod
    def _first_rows(keys: Sequence[bytes]) -> dict[bytes, int]:
        # Of equal ones the first counts: written last, it is what stays.
        return {key: row for row, key in zip(range(len(keys) - 1, -1, -1), reversed(keys), strict=True)}

    def begin_generation(self) -> None:
        """Note that what is new from here on belongs to another generation."""
        self._this_generation.clear()

    def keep(self, proposed: IntArray) -> int:
        """Keep what a generation proposes, shape (n, genes), and forget what it tried besides.

        So a search that was interrupted, and remembers only what it proposed, goes on like one that was not. Returns
        how many of the proposed were not new.
        """
        keys = self.space.keys(proposed)
        kept = set(keys) & self._this_generation
        self._known -= self._this_generation - kept
        self._this_generation = kept
        return len(keys) - len(kept)

    @property
    def enumerable(self) -> bool:
        """Whether the space is small enough to be gone through."""
        return self.space.size <= ENUMERABLE

    def rest(self, rng: np.random.Generator) -> Iterator[IntArray]:
        """Yield all genomes of an enumerable space that are not known yet, legal or not, in random order.

        They come in pieces of shape (n, genes).
        """
        free = np.flatnonzero(self.space.free)
        levels = tuple(self.space.levels[free].tolist())
        unknown = np.ones(self.space.size, dtype=np.bool_)
        for known in self._unpacked():
            unknown[np.ravel_multi_index(tuple(known[:, free].T), levels) if levels else 0] = False
        left = rng.permutation(np.flatnonzero(unknown))
        for start in range(0, len(left), CHUNK):
            piece = left[start : start + CHUNK]
            genomes = np.tile(self.space.full, (len(piece), 1))
            if levels:
                genomes[:, free] = np.column_stack(np.unravel_index(piece, levels))
            yield genomes

    def _unpacked(self) -> Iterator[IntArray]:
        keys = list(self._known)
        for start in range(0, len(keys), CHUNK):
            yield self.space.from_keys(keys[start : start + CHUNK])
