"""How much a single word before the input changes the answers, and which words are kept for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about

__all__ = ["Divergence", "Influence", "RandomWords", "Reward", "WordEvidence", "most_influential"]

FloatArray = NDArray[np.float64]

CLAPS = Paper("Survival of the Most Influential Prompts", "2310.12774")
COST = "an answer per word and search example"


@dataclass(frozen=True, slots=True, eq=False)
class WordEvidence:
    """What a criterion may look at to rank words.

    Attributes:
        words: The words that there are.
        gold: The place of the right choice of each search example, shape (examples,).
        of_each: Returns a number per word, shape (words,), from a function of the answers with it and of those without
            any: log-probabilities of the choices up to a constant per row, shape (examples, choices) each. What is
            measured is kept in the run, so ask once.
        rng: Where all randomness comes from.
    """

    words: tuple[str, ...]
    gold: NDArray[np.int64]
    of_each: Callable[[Callable[[FloatArray, FloatArray], float]], FloatArray]
    rng: np.random.Generator


class Influence(Protocol):
    """A criterion: says which words of a vocabulary matter most; asked once per run, and shared by every genome."""

    measures: ClassVar[bool]  # whether it looks at answers, which takes a prompt for each word and one without

    def __call__(self, evidence: WordEvidence) -> FloatArray:
        """Return one finite score per word, shape (words,), the larger the more it is worth keeping."""
        ...


@about("pruning", ["words"], serves=["prompt-vocabulary"], cost=COST, papers=[CLAPS])
@dataclass(frozen=True, slots=True)
class Reward:
    """Words count by how much less surprising they make the right answers.

    The published code passes probabilities through a softmax once more before it takes their logarithm, which is not
    done here.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """

    measures: ClassVar[bool] = True

    def __call__(self, evidence: WordEvidence) -> FloatArray:
        """Return the sum over examples, in nats."""
        rows = np.arange(len(evidence.gold))

        def gain(with_word: FloatArray, without: FloatArray) -> float:
            own, other = (_log_probabilities(each)[rows, evidence.gold] for each in (with_word, without))
            return float((own - other).sum())

        return evidence.of_each(gain)


@about("pruning", ["words"], serves=["prompt-vocabulary"], cost=COST, papers=[CLAPS])
@dataclass(frozen=True, slots=True)
class Divergence:
    """Words count by the Kullback-Leibler divergence of the answers with them from those without.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """

    measures: ClassVar[bool] = True

    def __call__(self, evidence: WordEvidence) -> FloatArray:
        """Return the sum over examples, in nats."""

        def divergence(with_word: FloatArray, without: FloatArray) -> float:
            own, other = (_log_probabilities(each) for each in (with_word, without))
            return float((np.exp(own) * (own - other)).sum())

        return evidence.of_each(divergence)


@about("pruning", ["words"], serves=["prompt-vocabulary"], cost="a random number per word")
@dataclass(frozen=True, slots=True)
class RandomWords:
    """Words count at random: the control, which measures nothing."""

    measures: ClassVar[bool] = False

    def __call__(self, evidence: WordEvidence) -> FloatArray:
        """Return random numbers from 0 to 1."""
        return evidence.rng.random(len(evidence.words))


def _log_probabilities(logits: FloatArray) -> FloatArray:
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def most_influential(influences: FloatArray, percentile: float) -> NDArray[np.int64]:
    """Return the places of what lies strictly above a percentile, the most influential first.

    Where nothing does, because the highest influences are all alike, these are kept.
    """
    bound = np.percentile(influences, percentile)
    kept = np.flatnonzero(influences > bound)
    if len(kept) == 0:
        kept = np.flatnonzero(influences >= bound)
    return kept[np.argsort(-influences[kept], kind="stable")]
