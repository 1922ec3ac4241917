"""What a method may look at to pick words for a prompt, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Found, ReferenceMethod
from emoprune.space import IntArray, Space

__all__ = ["ReferenceInputs", "WordReference"]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceInputs:
    """The words that are left of a vocabulary, and the slots that they can stand in.

    Attributes:
        space: A gene per slot: 0 for no word, i for the i-th.
        words: The most influential first.
        influence: What the criterion says of each word, shape (words,), in its unit, never rising.
        rng: Where all randomness comes from; every method gets the same, whatever others there are.
    """

    space: Space
    words: Sequence[str]
    influence: NDArray[np.float64]
    rng: np.random.Generator

    def with_words(self, places: IntArray) -> IntArray:
        """Return the genome of the words at these places, at most as many as there are slots, in the first slots."""
        genome = np.zeros(len(self.space), dtype=np.int64)
        genome[: len(places)] = places + 1
        return genome


class WordReference(ReferenceMethod[ReferenceInputs], Protocol):
    """Picks words without a search; nothing is measured for it, so what it finds has no starts."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return references of legal genomes, and what a person should know of them."""
        ...
