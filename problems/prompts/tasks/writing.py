"""Answers that are written freely and must match exactly: arithmetic, or short texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.objectives.contract import Answers, Needs
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.problems.prompts.tasks.saying import Reading, answer_of
from emoprune.space import IntArray

__all__ = ["Match", "Writing", "last_number"]

Match = Literal["number", "text"]

_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


@dataclass(frozen=True, slots=True)
class Writing:
    """Write up to `limit` tokens, or up to the text `stop`; right is what matches the wanted answer.

    By `number` the last number of both is compared, as PromptQuine (arXiv 2506.17930) judges arithmetic; by `text` the
    whole of both, without regard to case and outer white space. What is thought before an answer is no part of it,
    unless `reading` is by words.
    """

    limit: int = 64
    stop: str = "\n"
    match: Match = "number"
    reading: Reading = field(default="answer", repr=False)  # the config has it, so no fingerprint needs it

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ConfigError(f"answer_tokens: expected 1 or more, found {self.limit}")

    @property
    def choices(self) -> Choices:
        """None: answers are not chosen."""
        return Choices.none()

    @property
    def answer_tokens(self) -> int:
        """The limit."""
        return self.limit

    @property
    def answer_end(self) -> str:
        """The text that ends an answer."""
        return self.stop

    @property
    def known(self) -> frozenset[Needs]:
        """Answers, which are of no classes."""
        return frozenset({"prompt", "answers"})

    def check_answers(self, examples: Sequence[Example], part: str) -> None:
        """Refuse answers that nothing can match."""
        for example in examples:
            if self._essence(example.answer) is None:
                raise ConfigError(
                    f"examples: {part}, {example.place}: expected a number in the answer, found "
                    f"{example.answer[:60]!r}; mend the row, or match by text"
                )

    def check_variety(self, examples: Sequence[Example], part: str) -> list[str]:
        """Refuse answers that are all the same."""
        if len({self._essence(each.answer) for each in examples}) == 1:
            raise ConfigError(
                f"examples: all {len(examples)} rows of the {part} part have the answer {examples[0].answer[:60]!r}; "
                "expected different ones, or a prompt that always says one thing would be perfect"
            )
        return []

    def answers(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Answers:
        """Write an answer to some of the examples, and compare it with the wanted one."""
        said = prompted.continuations(rows, self.limit, self.stop)
        wanted = [self._essence(examples[row].answer) for row in rows.tolist()]
        answers = [answer_of(text) if self.reading == "answer" else text for text in said]
        hits = [self._essence(text) == answer for text, answer in zip(answers, wanted, strict=True)]
        return Answers.freely(np.array(hits, dtype=np.float64), said)

    def _essence(self, text: str) -> str | Decimal | None:
        return last_number(text) if self.match == "number" else " ".join(text.casefold().split())


def last_number(text: str) -> Decimal | None:
    """Return the last number in a text, None if it has none; commas between digits are left out."""
    found = _NUMBER.findall(text)
    try:
        return Decimal(found[-1].replace(",", "")) if found else None
    except InvalidOperation:
        return None
