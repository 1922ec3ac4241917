"""Writing one text of another, opened: an encoder with a decoder, and texts with what is to be written of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel, pretrained
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.parts import dealt_evenly, evenly, read_parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN
from emoprune.problems.networks.transformers.data.sequences import (
    SourceTarget,
    said_of_cut_sequences,
    sequence_batches,
    sources_and_targets,
)
from emoprune.problems.networks.transformers.data.tagged import IGNORED
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import SPLITS, TransformerOptions
from emoprune.problems.networks.transformers.tasks.padding import padding_of
from emoprune.problems.networks.transformers.tasks.tokens import TokenTask

__all__ = ["SequenceTask", "opened_sequences", "other_sequences"]


class SequenceTask(TokenTask):
    """A model that writes one text of another: each token of the target is told from those before it."""

    default_objective = "perplexity"
    scored = ("perplexity", "loss", "error", "kl")

    def sized(self, batch: int, tokens: int) -> Mapping[str, torch.Tensor]:
        """Return sources and targets of a size, for timing."""
        found = super().sized(batch, tokens)
        start = _start_of(self.model)
        return {**found, "decoder_input_ids": _shifted(found["input_ids"], start)}


def opened_sequences(options: TransformerOptions) -> Opened:
    """Return the task of writing one text of another.

    Raises:
        ConfigError: The model or the texts cannot be used; it says why.
    """
    loaded = pretrained(options.model, "sequence-to-sequence")
    rows = read_parts(options.data, lambda name: sources_and_targets(name, options.texts), dealt_evenly)
    wanted = {part: evenly(rows[part], getattr(options, part)) for part in SPLITS}
    parts = {part: _batches(options, loaded, own) for part, own in {TRAIN: rows[TRAIN], **wanted}.items()}
    parts[CALIBRATION] = _batches(options, loaded, evenly(rows[TRAIN], options.calibration))
    notes = said_of_cut_sequences(loaded.tokenizer, [row for own in rows.values() for row in own], options.length)
    facts = {"task": options.task, "factory": "AutoModelForSeq2SeqLM"}
    anatomy = anatomy_of(loaded.model)
    held = {part: own for part, own in parts.items() if part != TRAIN}
    task = SequenceTask(loaded.model, held, options.length, facts)
    return Opened(task, anatomy, loaded, parts[TRAIN], False, notes=tuple(notes))


def other_sequences(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the texts of another file, as many as the test part has if there are so many.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    return _batches(options, opened.loaded, evenly(sources_and_targets(name, options.texts), options.test))


def _batches(options: TransformerOptions, loaded: LoadedModel, rows: Sequence[SourceTarget]) -> tuple[Batch, ...]:
    start, own = _start_of(loaded.model), getattr(loaded.model, "prepare_decoder_input_ids_from_labels", None)

    def shift(labels: torch.Tensor) -> torch.Tensor:
        # Some families begin with the target's language, which stands at its end.
        found: torch.Tensor = _shifted(labels, start) if own is None else own(labels=labels)
        return found

    return sequence_batches(loaded.tokenizer, rows, options.length, padding_of(loaded), shift)


def _start_of(model: Any) -> int:
    """Return the token that a decoder is given before the first one that it tells.

    Raises:
        ConfigError: The model's config names none.
    """
    found = next(
        (
            own
            for name in ("decoder_start_token_id", "pad_token_id")
            if (own := getattr(model.config, name, None)) is not None
        ),
        None,
    )
    if found is None:
        raise ConfigError(
            f"model: config.json of {type(model).__name__} names no decoder_start_token_id, which a decoder begins "
            "with; write the one that it was trained with into it"
        )
    return int(found)


def _shifted(tokens: torch.Tensor, start: int) -> torch.Tensor:
    """Return what comes before each token, the first of all at first."""
    before = torch.cat([torch.full_like(tokens[:, :1], start), tokens[:, :-1]], dim=1)
    return before.masked_fill(before == IGNORED, start)
