"""Putting a prompt to examples, and saying what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Failure
from emoprune.problems.prompts.data.examples import Parts
from emoprune.problems.prompts.scorers.contract import Filled, Prompted, Scorer
from emoprune.problems.prompts.stopping import Stopping, blocks
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["Examined", "Examiner"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """What came of the examples that a prompt was put to, by measure, one number each; `of` counts all there are."""

    measured: Mapping[str, FloatArray]
    of: int

    @property
    def rows(self) -> int:
        """How many examples it was put to."""
        return len(next(iter(self.measured.values())))

    @property
    def values(self) -> dict[str, float]:
        """The mean of each measure."""
        return {name: float(own.mean()) for name, own in self.measured.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Examiner:
    """A scorer, a task and examples in three parts; with `stopping`, hopeless prompts see only some of the search part.

    `mask` and `wrapped` say how a prompt reaches the model: before and after it stand the texts of a chat, if it is
    put as one.
    """

    scorer: Scorer
    task: Task
    parts: Parts
    stopping: Stopping | None = None
    around: tuple[str, str] = ("", "")

    def prompted(self, template: Template, split: Split) -> Prompted:
        """Return a prompt about the examples of a part, ready to be asked."""
        inputs = tuple(example.inputs for example in self.parts[split])
        return self.scorer.prompted(Filled(template.between(*self.around), inputs), self.task.choices)

    def examined(self, template: Template, split: Split, tokens: float) -> Examined | Failure:
        """Put a prompt to a part; `tokens` is its length. What cannot be asked or judged is a failure."""
        if not "".join(template.texts).strip():
            return Failure("nothing is left of the prompt but its placeholders")
        prompted = self.prompted(template, split)
        if prompted.refusal is not None:
            return Failure(prompted.refusal)
        examples = self.parts[split]
        stopping = self.stopping if split is Split.SEARCH else None
        measured: dict[str, FloatArray] = {}
        for rows in blocks(len(examples), len(examples) if stopping is None else stopping.first):
            try:
                judged = self.task.judged(prompted, examples, rows)
            except FloatingPointError as error:
                return Failure(str(error))
            measured = {name: np.concatenate([measured.get(name, own[:0]), own]) for name, own in judged.items()}
            if stopping is not None and stopping.hopeless(template.text, measured, tokens, len(examples)):
                break
        return Examined(measured, len(examples))
