"""Putting a prompt to examples, and saying what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Failure
from emoprune.problems.prompts.data.examples import Parts
from emoprune.problems.prompts.measures import MEASURES
from emoprune.problems.prompts.scorers.calling import EndpointRefused
from emoprune.problems.prompts.scorers.contract import Filled, Prompted, Scorer
from emoprune.problems.prompts.stopping import GiveUp, blocks
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["FIRST", "Scored", "Scoring"]

FIRST = 8  # examples, before it is asked for the first time whether a prompt is hopeless

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What came of the examples that a prompt was put to, by measure, one number each; `of` counts all there are.

    A prompt that was given up counts the examples that it was not put to as answered as wrongly as can be, where there
    is a worst: what is recorded of it is what it reaches at least. Elsewhere the mean is that of the others.
    """

    measured: Mapping[str, FloatArray]
    of: int

    @property
    def rows(self) -> int:
        """How many examples it was put to."""
        return len(next(iter(self.measured.values())))

    @property
    def values(self) -> dict[str, float]:
        """The mean of each measure."""
        return {name: self._mean(name, own) for name, own in self.measured.items()}

    def _mean(self, name: str, known: FloatArray) -> float:
        worst = MEASURES[name].worst
        if worst is None or len(known) == self.of:
            return float(known.mean())
        return float((known.sum() + worst * (self.of - len(known))) / self.of)


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A scorer, a task and examples in three parts; `around` are the texts of a chat before and after a prompt."""

    scorer: Scorer
    task: Task
    parts: Parts
    around: tuple[str, str] = ("", "")

    def prompted(self, template: Template, split: Split) -> Prompted:
        """Return a prompt about the examples of a part, ready to be asked."""
        inputs = tuple(example.inputs for example in self.parts[split])
        return self.scorer.prompted(Filled(template.between(*self.around), inputs), self.task.choices)

    def scored(self, template: Template, split: Split, give_up: GiveUp | None = None) -> Scored | Failure:
        """Put a prompt to a part, block by block until `give_up` says so; what cannot be asked of it is a failure.

        Raises:
            EndpointFailed: The model did not answer, which says nothing of the prompt.
        """
        if not "".join(template.texts).strip():
            return Failure("nothing is left of the prompt but its placeholders")
        prompted = self.prompted(template, split)
        refusal = prompted.refusal(self.task.answer_tokens)
        if refusal is not None:
            return Failure(refusal)
        examples = self.parts[split]
        known: dict[str, FloatArray] = {}
        for rows in [np.arange(len(examples))] if give_up is None else blocks(len(examples), FIRST):
            try:
                judged = self.task.judged(prompted, examples, rows)
            except (FloatingPointError, EndpointRefused) as error:  # the prompt's own
                return Failure(str(error))
            known = {name: np.concatenate([known.get(name, own[:0]), own]) for name, own in judged.items()}
            if give_up is not None and give_up(known, len(examples)):
                break
        return Scored(known, len(examples))
