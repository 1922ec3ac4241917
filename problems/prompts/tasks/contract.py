"""What a task promises: to ask, and to judge the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.space import IntArray

__all__ = ["Judged", "Task"]

FloatArray = NDArray[np.float64]
Judged = Mapping[str, FloatArray]  # by measure, one number per example asked about


class Task(Protocol):
    """What a prompt is put to examples for."""

    @property
    def measures(self) -> Sequence[str]:
        """The names of what it can measure, the usual one first."""
        ...

    @property
    def choices(self) -> Choices:
        """The words to choose from; none if answers are written freely."""
        ...

    @property
    def answer_tokens(self) -> int:
        """How many tokens an answer has at most."""
        ...

    def check_answers(self, examples: Sequence[Example], part: str) -> None:
        """Refuse examples that cannot be judged.

        Raises:
            ConfigError: An answer is none of those expected.
        """
        ...

    def check_variety(self, examples: Sequence[Example], part: str) -> list[str]:
        """Refuse examples that are all alike, and return what a person should know of them, a sentence each.

        Raises:
            ConfigError: All have the same answer.
        """
        ...

    def judged(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Judged:
        """Put the prompt to some of the examples, and return what came of each, by measure, shape (rows,).

        Raises:
            FloatingPointError: The model answers with numbers that are not finite.
        """
        ...
