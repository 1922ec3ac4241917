"""Whether bfloat16 may be computed in: decided once, before a search, and only where it changes no prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.compute.precision import PrecisionChoice, chosen_precision
from emoprune.problems.prompts.scorers.contract import Choices, Filled, Scorer

__all__ = ["choose_precision"]


def choose_precision(
    load: Callable[[str], Scorer], prompts: Sequence[Filled], choices: Choices
) -> tuple[PrecisionChoice, Scorer]:
    """Return the faster precision that predicts what float32 does for all prompts and examples, and the model in it.

    The time that is measured may differ from run to run: ask once, and keep the answer.

    Args:
        load: Loads the model in a precision.
        prompts: The whole prompt and several pruned ones, as different as candidates will be.
        choices: What is predicted.
    """
    wide = load("float32")
    expected, slow = _predicted(wide, prompts, choices)
    narrow = load("bfloat16")
    predicted, fast = _predicted(narrow, prompts, choices)
    choice = chosen_precision(len(expected), int((expected != predicted).sum()), slow / max(fast, 1e-9))
    return choice, narrow if choice.precision == "bfloat16" else wide


def _predicted(scorer: Scorer, prompts: Sequence[Filled], choices: Choices) -> tuple[NDArray[np.int64], float]:
    rows = np.arange(len(prompts[0].inputs))
    scorer.prompted(prompts[0], choices).choices(rows)  # the first run of a precision chooses its kernels
    begun = time.process_time()
    found = [scorer.prompted(filled, choices).choices(rows).argmax(axis=1) for filled in prompts]
    return np.concatenate(found), time.process_time() - begun
