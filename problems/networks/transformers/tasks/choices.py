"""Multiple choice, opened: a model that scores each answer to a question, and questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.choices import (
    Question,
    choice_batches,
    questions,
    said_of_cut_questions,
)
from emoprune.problems.networks.transformers.data.parts import dealt_evenly, evenly, read_parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.heads import trained_head
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.padding import padding_of

__all__ = ["ChoiceTask", "opened_choices", "other_choices"]


class ChoiceTask(ClassTask):
    """A model that scores answers, as `ClassTask`; its costs and its time are those of one answer to a question."""

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return inputs of a size, for timing, with a single answer to each question."""
        return {name: own.unsqueeze(1) for name, own in super().sized(batch, tokens).items()}


def opened_choices(options: TransformerOptions) -> Opened:
    """Return the task of choosing answers.

    Raises:
        ConfigError: The model or the questions cannot be used; it says why.
    """
    loaded = trained_head(options.model, "multiple-choice")
    if loaded.tokenizer is None:
        raise ConfigError(f"model: the folder {options.model!r} has no tokenizer; put the model's own into it")
    rows = read_parts(options.data, questions, dealt_evenly)
    parts = {part: _batches(options, loaded, own) for part, own in rows.items()}
    parts[CALIBRATION] = _batches(options, loaded, evenly(rows[TRAIN], options.calibration))
    facts: Mapping[str, Any] = {"task": options.task, "factory": "AutoModelForMultipleChoice"}
    anatomy = anatomy_of(loaded.model)
    held = {part: own for part, own in parts.items() if part != TRAIN}
    task = ChoiceTask(loaded.model, held, options.length, facts)
    every = [question for own in rows.values() for question in own]
    notes = tuple(said_of_cut_questions(loaded.tokenizer, every, options.length))
    return Opened(task, anatomy, loaded, parts[TRAIN], False, notes=notes)


def other_choices(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the questions of another file.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    return _batches(options, opened.loaded, questions(name))


def _batches(options: TransformerOptions, loaded: LoadedModel, rows: Sequence[Question]) -> tuple[Batch, ...]:
    return choice_batches(loaded.tokenizer, rows, options.length, padding_of(loaded))
