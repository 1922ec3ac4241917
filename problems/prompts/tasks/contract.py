"""What a task promises: to ask, and to judge the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.objectives.contract import Answers, Needs
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.space import IntArray

__all__ = ["Task"]


class Task(Protocol):
    """What a prompt is put to examples for."""

    @property
    def choices(self) -> Choices:
        """The words to choose from; none if answers are written freely."""
        ...

    @property
    def answer_tokens(self) -> int:
        """How many tokens an answer has at most."""
        ...

    @property
    def answer_end(self) -> str:
        """The text that ends an answer that is written; empty where it is chosen."""
        ...

    @property
    def known(self) -> frozenset[Needs]:
        """What measures may ask about its answers."""
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

    def answers(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Answers:
        """Put the prompt to some of a part's examples, and return what came of each.

        Raises:
            FloatingPointError: The model answers with numbers that are not finite.
        """
        ...
