"""Answers that are chosen: classification with a word per class, and multiple choice with a letter per option."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.scorers.contract import Choices, Prompted
from emoprune.problems.prompts.tasks.contract import Judged
from emoprune.space import IntArray

__all__ = ["Choosing"]

BoolArray = NDArray[np.bool_]

UNEVEN = 2.0  # times as many of one class as of another, before a person is told


@dataclass(frozen=True, slots=True)
class Choosing:
    """Choose the likeliest of some words; `labels` are what the examples call them, in the words' order.

    The reward is the piecewise gap of RLPrompt (arXiv 2205.12548) with the factors that PromptQuine (arXiv 2506.17930)
    gives it: 200 where the right answer is the likeliest, 180 where it is not.
    """

    labels: tuple[str, ...]
    choices: Choices

    @property
    def measures(self) -> tuple[str, ...]:
        """What can be measured of chosen answers."""
        return ("accuracy", "balanced-accuracy", "reward", "cross-entropy", "entropy")

    @property
    def answer_tokens(self) -> int:
        """One: each word is a token."""
        return 1

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

    def judged(self, prompted: Prompted, examples: Sequence[Example], rows: IntArray) -> Judged:
        """Choose for some of the examples."""
        logits = prompted.choices(rows)
        if not np.isfinite(logits).all():
            raise FloatingPointError("the model's answers are not finite numbers")
        chosen = [examples[row] for row in rows.tolist()]
        gold = np.array([self.labels.index(each.answer) for each in chosen], dtype=np.int64)
        offered = np.array([self._offered(each) for each in chosen], dtype=np.bool_)
        return {**_judged(logits, gold, offered), "balanced-accuracy": self._balanced(logits, gold, offered, examples)}

    def _offered(self, example: Example) -> list[bool]:
        return [example.options is None or number < example.options for number in range(len(self.labels))]

    def _balanced(
        self, logits: FloatArray, gold: IntArray, offered: BoolArray, examples: Sequence[Example]
    ) -> FloatArray:
        """Return hits weighted so that their mean over all examples is the mean of the classes' accuracies."""
        counts = Counter(self.labels.index(each.answer) for each in examples)
        weights = np.array([len(examples) / (len(counts) * counts[label]) for label in gold.tolist()])
        return np.asarray(_hits(logits, gold, offered) * weights)


def _hits(logits: FloatArray, gold: IntArray, offered: BoolArray) -> FloatArray:
    """Return 1 where the right answer is likelier than every other; a tie is no answer."""
    rows, shown = np.arange(len(gold)), np.where(offered, logits, -np.inf)
    others = shown.copy()
    others[rows, gold] = -np.inf
    return np.asarray(shown[rows, gold] > others.max(axis=1), dtype=np.float64)


def _judged(logits: FloatArray, gold: IntArray, offered: BoolArray) -> Mapping[str, FloatArray]:
    """Return what there is to say of each row of logits, shape (n, choices), among the choices that are offered."""
    rows = np.arange(len(gold))
    shown = np.where(offered, logits, -np.inf)
    log_probabilities = shown - np.logaddexp.reduce(shown, axis=1, keepdims=True)
    probabilities = np.exp(log_probabilities)
    others = probabilities.copy()
    others[rows, gold] = -np.inf
    gap = probabilities[rows, gold] - others.max(axis=1)
    terms = np.where(probabilities > 0, probabilities * np.where(offered, log_probabilities, 0.0), 0.0)
    return {
        "accuracy": _hits(logits, gold, offered),
        "reward": np.where(gap > 0, 200.0, 180.0) * gap,
        "cross-entropy": -log_probabilities[rows, gold],
        "entropy": -terms.sum(axis=1),
    }
