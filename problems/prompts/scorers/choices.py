"""What an answer is chosen from: one word or several for each, of one token or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emoprune.contracts import FloatArray

__all__ = ["Choices", "Likelihood"]

Likelihood = Literal["whole", "per-token", "per-byte"]


@dataclass(frozen=True, slots=True)
class Choices:
    """The words that answers are chosen by.

    Attributes:
        words: As they follow the prompt.
        tokens: Of each word; none where they are not known.
        answers: The place of the answer that each word says.
        by: What of a word's log-likelihood counts: all of it, or its mean over tokens or bytes.
    """

    words: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    answers: tuple[int, ...]
    by: Likelihood = "whole"

    @classmethod
    def none(cls) -> Choices:
        """Return what there is to choose from where answers are written."""
        return cls((), (), ())

    @classmethod
    def one_each(cls, words: Sequence[str], tokens: Sequence[int] = ()) -> Choices:
        """Return a word for each answer, with its one token if that is known."""
        known: list[tuple[int, ...]] = [(token,) for token in tokens] or [()] * len(words)
        return cls(tuple(words), tuple(known), tuple(range(len(words))))

    @classmethod
    def together(cls, several: Sequence[Choices]) -> Choices:
        """Return all words of several choices, one after the other, each as an answer of its own."""
        words = tuple(word for each in several for word in each.words)
        tokens = tuple(own for each in several for own in each.tokens)
        return cls(words, tokens, tuple(range(len(words))))

    def __len__(self) -> int:
        return max(self.answers, default=-1) + 1

    @property
    def longest(self) -> int:
        """How many tokens the longest word has; 1 where they are not known."""
        return max((len(own) for own in self.tokens if own), default=1)

    @property
    def first(self) -> tuple[int, ...]:
        """The first token of each word."""
        return tuple(own[0] for own in self.tokens)

    @property
    def bare(self) -> bool:
        """Whether the logits of one token each say which answer is the likeliest."""
        return self.longest == 1 and (self.by != "per-byte" or len(set(self._lengths.tolist())) < 2)

    def scores(self, likelihoods: FloatArray) -> FloatArray:
        """Return what each answer is worth, shape (rows, answers), from log-likelihoods of shape (rows, words).

        An answer's words count together: their likelihoods are added.
        """
        own = np.array(self.answers, dtype=np.int64)
        counted = likelihoods / self._lengths
        with np.errstate(invalid="ignore"):  # what is no number stays none
            columns = [np.logaddexp.reduce(counted[:, own == number], axis=1) for number in range(len(self))]
        return np.stack(columns, axis=1) if columns else np.zeros((len(likelihoods), 0))

    @property
    def _lengths(self) -> FloatArray:
        if self.by == "per-token":
            return np.array([max(1, len(own)) for own in self.tokens], dtype=np.float64)
        if self.by == "per-byte":
            return np.array([len(word.strip().encode()) for word in self.words], dtype=np.float64)
        return np.ones(len(self.words))

    def listed(self, answer: int) -> list[str]:
        """Return the words of an answer."""
        return [word for word, own in zip(self.words, self.answers, strict=True) if own == answer]

    def told(self) -> str:
        """Return what a fingerprint says of them; as ever of one token for each answer."""
        if self.by == "whole" and self.answers == tuple(range(len(self.words))) and self.longest == 1:
            return f"Choices(words={self.words!r}, tokens={tuple(own[0] if own else -1 for own in self.tokens)!r})"
        return repr(self)
