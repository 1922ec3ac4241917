"""The log-likelihood of words of several tokens: what is read for them, and how it is added up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.space import IntArray

__all__ = ["MOST_NUMBERS", "Reading", "alike", "readings"]

MOST_NUMBERS = 2**25  # log-probabilities that are held at once


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A text that is read for one example: `ids` are its tokens, the last of which are those that words begin with."""

    row: int
    ids: tuple[int, ...]
    begun: tuple[int, ...]

    def tell(self, found: FloatArray, known: FloatArray, words: Sequence[tuple[int, ...]]) -> None:
        """Write down the log-likelihood of each word that can be told from this text.

        Args:
            found: Takes them, shape (words,).
            known: Log-probabilities of all tokens after each of the last ones, shape (last, vocabulary).
            words: The tokens of each word.
        """
        first = len(known) - 1 - len(self.begun)
        for place, tokens in enumerate(words):
            if tokens[:-1] == self.begun[: len(tokens) - 1]:
                found[place] = known[np.arange(first, first + len(tokens)), list(tokens)].sum()


def readings(texts: Sequence[Sequence[int]], words: Sequence[tuple[int, ...]]) -> list[Reading]:
    """Return what is read to know each word's likelihood after each text; a word's last token need not be read."""
    begun = _beginnings(words)
    return [Reading(row, (*text, *own), own) for row, text in enumerate(texts) for own in begun]


def _beginnings(words: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the words without their last tokens, none that another begins with."""
    kept: list[tuple[int, ...]] = []
    for own in sorted({tokens[:-1] for tokens in words}, key=lambda each: (-len(each), each)):
        if not any(longer[: len(own)] == own for longer in kept):
            kept.append(own)
    return kept


def alike(lengths: IntArray, most_tokens: int, numbers: int) -> Iterator[IntArray]:
    """Yield places in `lengths`, those of similar lengths together, as many as can be held at once.

    Args:
        lengths: Tokens of each text.
        most_tokens: Of a group, padding included; a single text may be longer.
        numbers: How many log-probabilities are held for each text and each length that there is in its group.
    """
    group: list[int] = []
    for place in np.argsort(lengths, kind="stable").tolist():
        together, longest = [*group, place], int(lengths[place])
        ends = len(set(lengths[together].tolist()))
        if group and (len(together) * longest > most_tokens or len(together) * ends * numbers > MOST_NUMBERS):
            yield np.array(group, dtype=np.int64)
            together = [place]
        group = together
    if group:
        yield np.array(group, dtype=np.int64)
