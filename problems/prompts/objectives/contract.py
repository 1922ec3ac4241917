"""What a measure of prompts sees, and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction
from emoprune.contracts import Measure as AnyMeasure
from emoprune.space import IntArray

__all__ = ["SERVES", "Answers", "Measure", "Needs", "PerExample", "Seen", "needs"]

FloatArray = NDArray[np.float64]
Needs = Literal["prompt", "answers", "classes", "choices", "costs"]
SERVES = ("prompt-tokens", "prompt-vocabulary")


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What came of some of a part's examples, row by row in their order.

    Attributes:
        right: 1 where the answer is right and 0 elsewhere, shape (rows,).
        log_probabilities: Of the words to choose from, in nats, shape (rows, choices); -inf where an example does not
            offer one. No choices where answers are written freely.
        gold: The place of the right choice, shape (rows,), whether it is chosen or written; none where there are none.
        counts: How many examples of the whole part have each choice as their answer, shape (choices,).
        written: The answers, where they are written; none elsewhere.
        costs: What each answer cost, shape (rows,), in the currency of the price; none where there is no price.
    """

    right: FloatArray
    log_probabilities: FloatArray
    gold: IntArray
    counts: IntArray
    written: tuple[str, ...] = ()
    costs: FloatArray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def freely(cls, right: FloatArray, written: Sequence[str]) -> Answers:
        """Return answers that were written freely."""
        none = np.zeros(0, dtype=np.int64)
        return cls(right, np.zeros((len(right), 0)), none, none, tuple(written))

    @classmethod
    def none(cls) -> Answers:
        """Return the answers of a prompt that was put to no example."""
        return cls.freely(np.zeros(0), ())

    def joined(self, others: Answers) -> Answers:
        """Return these answers and then those of other examples of the same part."""
        return Answers(
            np.concatenate([self.right, others.right]),
            np.concatenate([self.log_probabilities, others.log_probabilities]),
            np.concatenate([self.gold, others.gold]),
            self.counts,
            self.written + others.written,
            np.concatenate([self.costs, others.costs]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A prompt, and what came of the examples that it was put to.

    Attributes:
        prompt: Its text, with its placeholders.
        tokens: How many tokens it has without its input; words where the model's tokenizer is not at hand.
        answers: Those to the examples that it was put to: all of the part, unless it was given up.
    """

    prompt: str
    tokens: int
    answers: Answers


class Measure(AnyMeasure[Seen], Protocol):
    """A number of a prompt: of its text, or of all its answers together."""

    # What it takes: the prompt alone, answers, answers of some classes, probabilities of choices, which written answers
    # have none of, or costs, which answers have where there is a price. One that does not say takes answers. What
    # takes the prompt alone is known before any example is asked about, and is worst at the unpruned prompt if less of
    # it is better; with what takes answers prompts are measured in full, as it is not known how they add up.
    needs: ClassVar[Needs]


@runtime_checkable
class PerExample(Protocol):
    """A measure that has a number for each example, whose mean is reported: where it stands can be told half way.

    One in which a single example can count for more than `best` says how much as `best_of_one`; infinite if it cannot
    say, and then no prompt is given up for it.

    Attributes:
        best: The best that it can be.
        worst: The worst that it can be, which counts for examples that a prompt that is given up is not put to; None
            if it has none, and then the mean is that of the others.
    """

    unit: str
    direction: Direction
    best: float
    worst: float | None

    def __call__(self, seen: Seen) -> FloatArray:
        """Return one number per example, shape (rows,)."""
        ...


def needs(measure: object) -> Needs:
    """Return what a measure takes."""
    said: Needs = getattr(measure, "needs", "answers")
    return said
