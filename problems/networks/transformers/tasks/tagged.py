"""Token classification, opened: a tagger of tokens, and sentences with a tag for each word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import LoadedModel
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.parts import dealt_evenly, evenly, read_parts
from emoprune.problems.networks.transformers.data.sentences import TRAIN, padded_tokens
from emoprune.problems.networks.transformers.data.tagged import (
    IGNORED,
    TaggedSentence,
    tagged_sentences,
    tagged_tokens,
)
from emoprune.problems.networks.transformers.tasks.heads import trained_head
from emoprune.problems.networks.transformers.tasks.labels import Classes, classes_of
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.padding import padding_of
from emoprune.problems.networks.transformers.tasks.tokens import TokenTask

__all__ = ["opened_tagged", "other_tagged"]

Sentences = Sequence[TaggedSentence]


def opened_tagged(options: TransformerOptions) -> Opened:
    """Return the task of telling tokens apart.

    Raises:
        ConfigError: The model or the data cannot be used; it says why.
    """
    loaded = trained_head(options.model, "token-classifier")
    rows = read_parts(options.data, tagged_sentences, dealt_evenly)
    tags = sorted({tag for own in rows.values() for sentence in own for tag in sentence.tags})
    classes = classes_of(loaded.model.config, tags, options.labels)
    parts = {part: _batches(options, loaded, own, classes) for part, own in rows.items()}
    parts[CALIBRATION] = _batches(options, loaded, evenly(rows[TRAIN], options.calibration), classes)
    facts: Mapping[str, Any] = {
        "task": options.task,
        "factory": "AutoModelForTokenClassification",
        "labels": list(classes.names),
    }
    anatomy = anatomy_of(loaded.model)
    held = {part: own for part, own in parts.items() if part != TRAIN}
    task = TokenTask(loaded.model, held, options.length, facts)
    return Opened(task, anatomy, loaded, parts[TRAIN], False, classes, _said_of_cuts(rows, parts, options.length))


def other_tagged(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the sentences of another file.

    Raises:
        ConfigError: There is no such file, or it has other tags.
    """
    rows, classes = tagged_sentences(name), opened.classes
    tags = {tag for sentence in rows for tag in sentence.tags}
    if classes is None or not tags <= set(classes.words):
        known = [] if classes is None else list(classes.words)
        raise ConfigError(f"data: {name!r} has tags {sorted(tags)}, expected some of {known}")
    return _batches(options, opened.loaded, rows, classes)


def _batches(options: TransformerOptions, loaded: LoadedModel, rows: Sentences, classes: Classes) -> tuple[Batch, ...]:
    number = dict(zip(classes.words, classes.ids.tolist(), strict=True))
    tokens, labels = tagged_tokens(loaded.tokenizer, rows, number, options.length)
    return padded_tokens(tokens, labels, padding_of(loaded, own=options.own_conventions), IGNORED)


def _said_of_cuts(
    rows: Mapping[str, Sentences], parts: Mapping[str, tuple[Batch, ...]], length: int
) -> tuple[str, ...]:
    words = sum(len(sentence.words) for own in rows.values() for sentence in own)
    left = sum(int(np.sum((batch.labels != IGNORED).numpy())) for part in rows for batch in parts[part])
    if left == words:
        return ()
    return (f"{words - left:,} of {words:,} words stand behind length: {length} tokens and are cut off.",)
