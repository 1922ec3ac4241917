"""What a criterion says of each word, measured once and kept as it is measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError
from emoprune.problems.prompts.words.influence import Influence, WordEvidence
from emoprune.problems.storage.kept_numbers import KeptNumbers

__all__ = ["influences"]

FloatArray = NDArray[np.float64]

SAID = 100  # words, after which it is said how many are measured

_log = logging.getLogger("emoprune")


def influences(
    influence: Influence,
    words: Sequence[str],
    gold: NDArray[np.int64],
    logits: Callable[[Sequence[str]], FloatArray],
    *,
    path: Path,
    rng: np.random.Generator,
) -> FloatArray:
    """Return the influence of each word on the answers, against no word at all, shape (words,).

    Args:
        influence: The criterion.
        words: What it ranks.
        gold: The place of the right choice of each example, shape (examples,).
        logits: Answers a prompt of some words, shape (examples, choices).
        path: Where what is measured is kept.
        rng: What the criterion draws from.

    Raises:
        ContractError: The criterion does not say a finite number of each word.
    """

    def of_each(number_of: Callable[[FloatArray, FloatArray], float]) -> FloatArray:
        _log.info("measuring the influence of %d words, each on %d examples", len(words), len(gold))
        without, kept = logits(()), KeptNumbers(path)

        def measured(number: int, word: str) -> float | None:
            found = kept.number(word, lambda: number_of(logits([word]), without))
            if number % SAID == 0:
                _log.info("measured the influence of %d of %d words", number, len(words))
            return found

        return np.array([measured(number, word) for number, word in enumerate(words, start=1)], dtype=np.float64)

    found = influence(WordEvidence(tuple(words), gold, of_each, rng))
    if np.shape(found) != (len(words),) or not np.isfinite(found).all():
        raise ContractError(
            f"influence: expected {len(words)} finite numbers, one per word, found {np.shape(found)}: {found}"
        )
    return found
