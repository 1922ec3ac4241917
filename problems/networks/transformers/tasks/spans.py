"""Question answering, opened: a model that finds where in a text the answer begins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.parts import dealt_evenly, evenly, read_parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN
from emoprune.problems.networks.transformers.data.spans import AskedText, asked_texts, span_batches
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.heads import trained_head
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.padding import padding_of

__all__ = ["SpanTask", "opened_spans", "other_spans"]

NOWHERE = -1e4  # the logit of a token that is none


class SpanTask(ClassTask):
    """A model that finds answers: the first token of each is told from all others, and so is the last one."""

    def read(self, outputs: Any) -> torch.Tensor:
        """Return the logits of each token's being the first and the last one, shape (n, 2, tokens)."""
        return torch.stack([outputs.start_logits, outputs.end_logits], dim=1)

    def examples(self, outputs: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits over a text's tokens, shape (2 n, tokens of the task), and which one is right."""
        mask = batch.inputs["attention_mask"].bool().unsqueeze(1)
        there = outputs.masked_fill(~mask, NOWHERE)
        wide = functional.pad(there, (0, self.tokens - there.shape[2]), value=NOWHERE)
        return wide.flatten(0, 1), batch.labels.flatten()

    def numbers(self, batch: Batch) -> int:
        """Return how many ends of answers a batch has."""
        return batch.labels.numel()


def opened_spans(options: TransformerOptions) -> Opened:
    """Return the task of finding answers in texts.

    Raises:
        ConfigError: The model or the questions cannot be used; it says why.
    """
    loaded = trained_head(options.model, "question-answerer")
    if not getattr(loaded.tokenizer, "is_fast", False):
        raise ConfigError(
            f"model: {options.model!r} needs a tokenizer in tokenizer.json, which knows each token's place"
        )
    rows = read_parts(options.data, asked_texts, dealt_evenly)
    made = {part: _batches(options, loaded, own) for part, own in rows.items()}
    made[CALIBRATION] = _batches(options, loaded, evenly(rows[TRAIN], options.calibration))
    empty = [part for part, (batches, _) in made.items() if not batches]
    if empty:
        raise ConfigError(
            f"length: every answer of the {empty[0]} part lies behind {options.length} tokens; give a larger length"
        )
    lost, total = sum(made[part][1] for part in rows), sum(map(len, rows.values()))
    notes = [f"{lost:,} of {total:,} answers lie behind length: {options.length} tokens, and are left out."]
    facts: Mapping[str, Any] = {"task": options.task, "factory": "AutoModelForQuestionAnswering"}
    anatomy = anatomy_of(loaded.model)
    held = {part: batches for part, (batches, _) in made.items() if part != TRAIN}
    task = SpanTask(loaded.model, held, options.length, facts)
    return Opened(task, anatomy, loaded, made[TRAIN][0], False, None, tuple(notes) if lost else ())


def other_spans(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the questions of another file.

    Raises:
        ConfigError: There is no such file, it is of another form, or its answers lie behind `length`.
    """
    batches, _ = _batches(options, opened.loaded, asked_texts(name))
    if not batches:
        raise ConfigError(f"length: every answer of {name!r} lies behind {options.length} tokens; give a larger length")
    return batches


def _batches(
    options: TransformerOptions, loaded: LoadedModel, rows: Sequence[AskedText]
) -> tuple[tuple[Batch, ...], int]:
    return span_batches(loaded.tokenizer, rows, options.length, padding_of(loaded))
