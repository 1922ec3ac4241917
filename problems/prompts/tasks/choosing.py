"""Answers that are chosen: classification with a word per class, and multiple choice with a letter per option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.objectives.contract import Answers, Needs
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.space import IntArray

__all__ = ["Choosing"]

UNEVEN = 2.0  # times as many of one class as of another, before a person is told


@dataclass(frozen=True, slots=True)
class Choosing:
    """Choose the likeliest of some words; `labels` are what the examples call them, in the words' order."""

    labels: tuple[str, ...]
    choices: Choices

    @property
    def answer_tokens(self) -> int:
        """As many as the longest word has."""
        return self.choices.longest

    @property
    def answer_end(self) -> str:
        """None: nothing is written."""
        return ""

    @property
    def known(self) -> frozenset[Needs]:
        """Answers of some classes, with their probabilities."""
        return frozenset({"prompt", "answers", "classes", "choices"})

    def check_answers(self, examples: Sequence[Example], part: str) -> None:
        """Refuse answers that are none of the labels."""
        strange = next((each for each in examples if each.answer not in self.labels), None)
        if strange is not None:
            raise ConfigError(
                f"examples: {part}, {strange.place}: the answer is {strange.answer!r}, which has no verbaliser; "
                f"expected one of {', '.join(map(repr, self.labels))}: add a verbaliser, or mend the row"
            )

    def check_variety(self, examples: Sequence[Example], part: str) -> list[str]:
        """Refuse answers that are all alike, and say where classes are uneven."""
        counts = Counter(each.answer for each in examples)
        if len(counts) == 1:
            raise ConfigError(
                f"examples: all {len(examples)} rows of the {part} part have the answer {examples[0].answer!r}; "
                "expected two or more classes, or a prompt that always says one thing would be perfect"
            )
        listed = ", ".join(f"{label}: {counts[label]}" for label in self.labels)
        if len(counts) < len(self.labels) or max(counts.values()) > UNEVEN * min(counts.values()):
            return [f"The classes of the {part} part are uneven ({listed}); balanced-accuracy weighs them alike."]
        return []

    def answers(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Answers:
        """Choose for some of the examples."""
        logits = prompted.choices(rows)
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model's answers are not finite numbers")
        chosen = [examples[row] for row in rows.tolist()]
        gold = np.array([self.labels.index(each.answer) for each in chosen], dtype=np.int64)
        offered = np.array([self._offered(each) for each in chosen], dtype=np.bool_)
        shown = np.where(offered, logits, -np.inf)
        log_probabilities = shown - np.logaddexp.reduce(shown, axis=1, keepdims=True)
        return Answers(_right(shown, gold), log_probabilities, gold, self.counts(examples))

    def _offered(self, example: Example) -> list[bool]:
        return [example.options is None or number < example.options for number in range(len(self.labels))]

    def counts(self, examples: Sequence[Example]) -> IntArray:
        """Return how many of the examples have each label as their answer, shape (labels,)."""
        counts = Counter(each.answer for each in examples)
        return np.array([counts[label] for label in self.labels], dtype=np.int64)


def _right(shown: FloatArray, gold: IntArray) -> FloatArray:
    """Return 1 where the right answer is likelier than every other; a tie is no answer."""
    rows, others = np.arange(len(gold)), shown.copy()
    others[rows, gold] = -np.inf
    return np.asarray(shown[rows, gold] > others.max(axis=1), dtype=np.float64)
