"""Masked language modelling, opened: a model that fills in words, and windows of a text with some of them masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import pretrained
from emoprune.problems.language.texts import text_named
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.tagged import IGNORED
from emoprune.problems.networks.transformers.data.windows import (
    REST,
    beginning_of,
    ending_of,
    windows_of,
    windows_of_parts,
)
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import SPLITS, TransformerOptions
from emoprune.problems.networks.transformers.tasks.tokens import TokenTask

__all__ = ["MaskedTask", "opened_masked", "other_masked"]

SHARE = 0.15  # of a window's tokens that are masked, as in BERT's training


class MaskedTask(TokenTask):
    """A model that fills in masked tokens, and windows in which they are the ones that have a label."""

    default_objective = "perplexity"
    scored = ("perplexity", "loss", "error", "kl")


def opened_masked(options: TransformerOptions) -> Opened:
    """Return the task of filling in the masked tokens of a text's windows; which ones they are is fixed.

    Raises:
        ConfigError: The model or the text cannot be used; it says why.
    """
    loaded = pretrained(options.model, "masked-language-model")
    tokenizer: Any = loaded.tokenizer
    if tokenizer.mask_token_id is None:
        raise ConfigError(f"model: the tokenizer of {options.model!r} has no mask token; give a masked language model")
    if not isinstance(options.data, str):
        raise ConfigError("data: expected the name of one text, which is dealt out to the parts, found several")
    wanted = {CALIBRATION: options.calibration, **{part: getattr(options, part) for part in SPLITS}}
    parts = _parts(tokenizer, options.data, options.length, wanted)
    if options.calibrated_on is not None:
        other = _parts(tokenizer, options.calibrated_on, options.length, {CALIBRATION: options.calibration})
        parts[CALIBRATION] = other[CALIBRATION]
    train = (*parts[CALIBRATION], *parts.pop(REST))
    facts = {"task": options.task, "factory": "AutoModelForMaskedLM"}
    anatomy = anatomy_of(loaded.model)
    return Opened(MaskedTask(loaded.model, parts, options.length, facts), anatomy, loaded, train, False)


def other_masked(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return windows of another text, as many as the test part has if there are so many.

    Raises:
        ConfigError: There is no such text.
    """
    windows = _windows(opened.loaded.tokenizer, name, options.length)
    found = windows_of_parts(windows, {"test": min(options.test, len(windows))}, name)["test"]
    return _masked(opened.loaded.tokenizer, found, "test")


def _parts(tokenizer: Any, name: str, length: int, wanted: Mapping[str, int]) -> dict[str, tuple[Batch, ...]]:
    found = windows_of_parts(_windows(tokenizer, name, length), wanted, name)
    return {part: _masked(tokenizer, batches, part) for part, batches in found.items()}


def _windows(tokenizer: Any, name: str, length: int) -> torch.Tensor:
    return windows_of(tokenizer, text_named(name), length, name, (beginning_of(tokenizer), ending_of(tokenizer)))


def _masked(tokenizer: Any, batches: Sequence[Batch], part: str) -> tuple[Batch, ...]:
    """Return the batches with a share of the tokens masked, which have a label then; the part's name says which."""
    rng = np.random.default_rng(list(part.encode()))
    special = torch.tensor(sorted(tokenizer.all_special_ids))
    return tuple(
        _masked_batch(batch.inputs["input_ids"], int(tokenizer.mask_token_id), special, rng) for batch in batches
    )


def _masked_batch(ids: torch.Tensor, mask: int, special: torch.Tensor, rng: np.random.Generator) -> Batch:
    free = ~torch.isin(ids, special)
    order = torch.from_numpy(rng.random(ids.shape)).masked_fill(~free, 2.0)
    chosen = order < SHARE
    chosen[torch.arange(len(ids)), order.argmin(dim=1)] = True  # at least one, so that every window tells something
    chosen &= free
    return Batch({"input_ids": ids.masked_fill(chosen, mask)}, ids.masked_fill(~chosen, IGNORED))
