"""Putting a prompt to examples, and saying what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Failure
from emoprune.problems.prompts.blocks import ExampleBlocks
from emoprune.problems.prompts.chats import NO_CHAT, Chat
from emoprune.problems.prompts.data.examples import Example, Parts
from emoprune.problems.prompts.measures import Measures
from emoprune.problems.prompts.objectives.contract import Answers, PerExample, Seen
from emoprune.problems.prompts.scorers.calling import EndpointRefused
from emoprune.problems.prompts.scorers.contract import Choices, Filled, Prompted, Scorer
from emoprune.problems.prompts.scorers.ledger import Price, account_of
from emoprune.problems.prompts.stopping import GiveUp, blocks
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.prompts.template import Template
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["FIRST", "Scored", "Scoring"]

FIRST = 8  # examples, before it is asked for the first time whether a prompt is hopeless

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What was measured of a prompt: `measured` per example that it was put to, and `values` of all measures.

    A prompt that was given up counts the examples that it was not put to as answered as wrongly as can be, where there
    is a worst: what is recorded of it is what it reaches at least. Elsewhere the mean is that of the others. `of` is
    how many examples there are.
    """

    measured: Mapping[str, FloatArray]
    values: Mapping[str, float]
    of: int

    @property
    def rows(self) -> int:
        """How many examples it was put to."""
        return len(next(iter(self.measured.values())))


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """A scorer, a task, examples in three parts, and what is measured of answers.

    `length` counts a prompt's tokens; `chat` is what a chat template puts around a prompt.
    """

    scorer: Scorer
    task: Task
    parts: Parts
    measures: Measures
    length: Callable[[Template], int]
    chat: Chat = NO_CHAT
    price: Price | None = None

    def prompted(self, template: Template, split: Split, choices: Choices | None = None) -> Prompted:
        """Return a prompt about the examples of a part, ready to be asked; by default for the task's choices."""
        inputs = tuple(example.inputs for example in self.parts[split])
        filled = Filled(self.chat.put(template), inputs, account_of(split.value, template.text))
        return self.scorer.prompted(filled, self.task.choices if choices is None else choices)

    def _costs(self, prompted: Prompted, rows: IntArray) -> FloatArray:
        return np.zeros(0) if self.price is None else self.price.costs(prompted.used(rows))

    def scored(self, template: Template, split: Split, give_up: GiveUp | None = None) -> Scored | Failure:
        """Put a prompt to a part, block by block until `give_up` says so; what cannot be asked of it is a failure.

        Raises:
            EndpointFailed: The model did not answer, which says nothing of the prompt.
        """
        prompted = self._askable(template, split)
        if isinstance(prompted, Failure):
            return prompted
        examples = self.parts[split]
        known: dict[str, FloatArray] = {}
        seen: list[Seen] = []
        for rows in [np.arange(len(examples))] if give_up is None else blocks(len(examples), FIRST):
            answered = self._seen(template, prompted, examples, rows)
            if isinstance(answered, Failure):
                return answered
            seen.append(answered)
            measured = self.measures.of_examples(seen[-1])
            known = {name: np.concatenate([known.get(name, own[:0]), own]) for name, own in measured.items()}
            if give_up is not None and give_up(known, len(examples)):
                break
        means = {name: _mean(self.measures.per_example[name], own, len(examples)) for name, own in known.items()}
        values = {**means, **self.measures.of_prompt(seen[0]), **self.measures.of_answers(seen)}
        strange = _strange(values)
        return Scored(known, values, len(examples)) if strange is None else strange

    def by_block(
        self, template: Template, split: Split, blocks: ExampleBlocks, wanted: range
    ) -> dict[str, FloatArray] | Failure:
        """Put a prompt to some blocks of a part; return what is measured on each, shape (wanted blocks,), by measure.

        Raises:
            EndpointFailed: The model did not answer, which says nothing of the prompt.
        """
        prompted = self._askable(template, split)
        if isinstance(prompted, Failure):
            return prompted
        rows, means = blocks.rows[split], dict[str, list[float]]()
        alone = Seen(template.text, self.length(template), Answers.none())
        pieces = blocks.pieces(split, wanted)
        for piece in pieces:
            answered = self._seen(template, prompted, self.parts[split], np.concatenate(rows[piece.start : piece.stop]))
            if isinstance(answered, Failure):
                return answered
            ends = np.cumsum([len(rows[block]) for block in piece])[:-1]
            for name, measured in self.measures.of_examples(answered).items():
                means.setdefault(name, []).extend(float(own.mean()) for own in np.split(measured, ends))
        own = range(wanted.start - pieces[0].start, wanted.stop - pieces[0].start)
        values = {name: np.array(each)[own.start : own.stop] for name, each in means.items()}
        values |= {name: np.full(len(wanted), each) for name, each in self.measures.of_prompt(alone).items()}
        strange = _strange(values)
        return values if strange is None else strange

    def _askable(self, template: Template, split: Split) -> Prompted | Failure:
        """Return a prompt ready to be asked about a part, or why it cannot be."""
        if not "".join(template.texts).strip():
            return Failure("nothing is left of the prompt but its placeholders")
        prompted = self.prompted(template, split)
        refusal = prompted.refusal(self.task.answer_tokens)
        return prompted if refusal is None else Failure(refusal)

    def _seen(
        self, template: Template, prompted: Prompted, examples: Sequence[Example], rows: IntArray
    ) -> Seen | Failure:
        """Return what comes of some examples, or why that is the prompt's own failure."""
        try:
            answers = self.task.answers(prompted, examples, rows)
        except (FloatingPointError, EndpointRefused) as error:
            return Failure(str(error))
        return Seen(template.text, self.length(template), replace(answers, costs=self._costs(prompted, rows)))


def _strange(values: Mapping[str, float | FloatArray]) -> Failure | None:
    """Return a failure if a value is no finite number."""
    found = next((name for name, value in values.items() if not np.isfinite(value).all()), None)
    return None if found is None else Failure(f"{found}: expected a finite number, found {values[found]}")


def _mean(measure: PerExample, known: FloatArray, of: int) -> float:
    if measure.worst is None or len(known) == of:
        return float(known.mean())
    return float((known.sum() + measure.worst * (of - len(known))) / of)
