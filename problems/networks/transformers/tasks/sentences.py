"""Text classification, opened: a classifier of sentences, its own or one to be fitted, and labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import LabelledTexts, labelled_texts
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.cutting import said_of_cut_texts
from emoprune.problems.networks.transformers.data.sentences import TRAIN, dealt, encoded, padded
from emoprune.problems.networks.transformers.tasks.heads import classifier_of, opened_classifier
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import SPLITS, TransformerOptions
from emoprune.problems.networks.transformers.tasks.padding import padding_of

__all__ = ["opened_sentences", "other_sentences"]


def opened_sentences(options: TransformerOptions) -> Opened:
    """Return the task of telling sentences apart.

    Raises:
        ConfigError: The model or the data cannot be used; it says why.
    """
    rows = _rows(options)
    found = classifier_of(options, "text-classifier", rows["search"].names)
    tokenizer = found.loaded.tokenizer
    if tokenizer is None:
        raise ConfigError(f"model: the folder {options.model!r} has no tokenizer; put the model's own into it")
    padding = padding_of(found.loaded, own=options.own_conventions)
    tokens = {part: encoded(tokenizer, own.texts, options.length) for part, own in rows.items()}
    labels = {part: found.classes.numbered(own.labels) for part, own in rows.items()}
    parts = {part: padded(tokens[part], labels[part], padding) for part in rows}
    few = np.unique(np.linspace(0, len(rows[TRAIN]) - 1, min(options.calibration, len(rows[TRAIN]))).astype(np.int64))
    parts[CALIBRATION] = padded([tokens[TRAIN][row] for row in few.tolist()], labels[TRAIN][few], padding)
    return opened_classifier(options, found, parts, options.length, _said_of_cuts(tokenizer, rows, tokens, options))


def other_sentences(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the sentences of another file.

    Raises:
        ConfigError: There is no such file, or it has other classes.
    """
    rows, classes = labelled_texts(name), opened.classes
    if classes is None or not set(rows.names) <= set(classes.words):
        known = [] if classes is None else list(classes.words)
        raise ConfigError(f"data: {name!r} has classes {list(rows.names)}, expected some of {known}")
    labels = classes.of_words(rows.names).numbered(rows.labels)
    tokenizer = opened.loaded.tokenizer
    padding = padding_of(opened.loaded, own=options.own_conventions)
    return padded(encoded(tokenizer, rows.texts, options.length), labels, padding)


def _rows(options: TransformerOptions) -> dict[str, LabelledTexts]:
    if isinstance(options.data, str):
        rows = labelled_texts(options.data)
        return {part: rows.rows(own) for part, own in dealt(rows, options.data).items()}
    wanted = {TRAIN, *SPLITS}
    if set(options.data) != wanted:
        raise ConfigError(f"data: expected one file, or a file for each of {', '.join(sorted(wanted))}")
    rows_by_part = {part: labelled_texts(name) for part, name in options.data.items()}
    names = {own.names for own in rows_by_part.values()}
    if len(names) > 1:
        raise ConfigError(f"data: expected the same classes in every part, found {sorted(names)}")
    return rows_by_part


def _said_of_cuts(
    tokenizer: Any,
    rows: Mapping[str, LabelledTexts],
    tokens: Mapping[str, list[list[int]]],
    options: TransformerOptions,
) -> list[str]:
    texts = [text for own in rows.values() for text in own.texts]
    labels = np.concatenate([own.labels for own in rows.values()])
    return said_of_cut_texts(tokenizer, texts, labels, [ids for part in rows for ids in tokens[part]], options.length)
