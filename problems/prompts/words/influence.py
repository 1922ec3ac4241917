"""How much a single word before the input changes the answers, and which words are kept for it."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError

__all__ = ["Influence", "influence_of", "most_influential"]

FloatArray = NDArray[np.float64]
Influence = Literal["reward", "kl", "random"]


def influence_of(kind: Influence, with_word: FloatArray, without: FloatArray, gold: NDArray[np.int64]) -> float:
    """Return the sum over examples of what a word changes.

    By `reward` it is by how much less surprising it makes the right answers; by `kl` the Kullback-Leibler divergence of
    the answers with the word from those without. Logits have shape (examples, choices); the published code passes
    probabilities through a softmax once more before it takes their logarithm, which is not done here.

    Source: Survival of the Most Influential Prompts (ClaPS, arXiv 2310.12774).
    """
    if kind not in get_args(Influence):
        raise ConfigError(f"influence: expected one of {', '.join(get_args(Influence))}, found {kind!r}")
    own, other = (each - np.logaddexp.reduce(each, axis=1, keepdims=True) for each in (with_word, without))
    if kind == "kl":
        return float((np.exp(own) * (own - other)).sum())
    rows = np.arange(len(gold))
    return float((own[rows, gold] - other[rows, gold]).sum())


def most_influential(influences: FloatArray, percentile: float) -> NDArray[np.int64]:
    """Return the places of what lies strictly above a percentile, the most influential first.

    Where nothing does, because the highest influences are all alike, these are kept.
    """
    bound = np.percentile(influences, percentile)
    kept = np.flatnonzero(influences > bound)
    if len(kept) == 0:
        kept = np.flatnonzero(influences >= bound)
    return kept[np.argsort(-influences[kept], kind="stable")]
