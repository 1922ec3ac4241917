"""From options to a task: the model loaded and tried, its data read and dealt out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import config_of
from emoprune.problems.networks.transformers.anatomy.checking import check_narrowing
from emoprune.problems.networks.transformers.anatomy.refused import refuse_family
from emoprune.problems.networks.transformers.anatomy.reloading import check_reloading, made_anew
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.running.checking import check_layers
from emoprune.problems.networks.transformers.tasks.choices import opened_choices, other_choices
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.images import opened_images, other_images
from emoprune.problems.networks.transformers.tasks.masked import opened_masked, other_masked
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import Purpose, TransformerOptions
from emoprune.problems.networks.transformers.tasks.sentences import opened_sentences, other_sentences
from emoprune.problems.networks.transformers.tasks.sequences import opened_sequences, other_sequences
from emoprune.problems.networks.transformers.tasks.spans import opened_spans, other_spans
from emoprune.problems.networks.transformers.tasks.tagged import opened_tagged, other_tagged
from emoprune.problems.networks.transformers.tasks.texts import opened_text, other_text

__all__ = ["Opened", "opened", "other_batches"]

TRIED = 2  # examples that narrowing is tried on

Others = Callable[[Opened, TransformerOptions, str], tuple[Batch, ...]]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a task is made of options, and other data of its kind are read."""

    opened: Callable[[TransformerOptions], Opened]
    others: Others


_WAYS: Mapping[Purpose, _Way] = MappingProxyType(
    {
        "language-modelling": _Way(opened_text, other_text),
        "text-classification": _Way(opened_sentences, other_sentences),
        "image-classification": _Way(opened_images, other_images),
        "masked-language-modelling": _Way(opened_masked, other_masked),
        "sequence-to-sequence": _Way(opened_sequences, other_sequences),
        "multiple-choice": _Way(opened_choices, other_choices),
        "question-answering": _Way(opened_spans, other_spans),
        "token-classification": _Way(opened_tagged, other_tagged),
    }
)


def opened(options: TransformerOptions, *, tried: bool = False) -> Opened:
    """Return the task of these options; its model is tried, unless it was already.

    Raises:
        ConfigError: The model or the data cannot be used; it says why.
    """
    if not tried:
        refuse_family(config_of(options.model))
    found = _WAYS[options.task].opened(options)
    _check_positions(found)
    if not tried:
        _try(found)
    return found


def _check_positions(found: Opened) -> None:
    """Refuse texts that are longer than the model has positions for, which it says in an error of indices."""
    config = found.loaded.model.config
    limit = None if getattr(config, "relative_attention", False) else getattr(config, "max_position_embeddings", None)
    batches = [batch for own in found.task.parts.values() for batch in own]
    ids = [own for batch in batches for name, own in batch.inputs.items() if name.endswith("input_ids")]
    longest = max((own.shape[-1] for own in ids), default=0)
    if isinstance(limit, int) and longest > limit:
        raise ConfigError(
            f"length: the model has positions for {limit} tokens, found texts of {longest}; set length: {limit} or less"
        )


def _try(found: Opened) -> None:
    """Refuse a model that would fail later: narrowed, run layer by layer, or loaded again."""
    model, inputs = found.task.model, _few(found.task.parts["search"][0])
    if not isinstance(found.task, ClassTask):
        found.anatomy.check_one_stack("model")
    check_narrowing(model, found.anatomy, inputs)
    check_layers(found.narrower(), inputs)
    found.task.judge(found.narrower(), {"search": found.task.parts["search"][:1]})
    check_reloading(model, found.anatomy, partial(made_anew, model.config, found.task.about))


def _few(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: tensor[:TRIED] for name, tensor in batch.inputs.items()}


def other_batches(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return batches of other data than the task's own, as many examples as its test part has if there are so many.

    Raises:
        ConfigError: There is no such data, or it has other classes.
    """
    return _WAYS[options.task].others(opened, options, name)
