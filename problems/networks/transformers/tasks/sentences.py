"""Text classification, opened: a classifier of sentences, its own or one to be fitted, and labelled rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import LabelledTexts, labelled_texts
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.cutting import said_of_cut_texts
from emoprune.problems.networks.transformers.data.sentences import TRAIN, Tokens, dealt, padded, tokens_of
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
    tokens = {part: tokens_of(tokenizer, own.texts, options.length) for part, own in rows.items()}
    labels = {part: found.classes.numbered(own.labels) for part, own in rows.items()}
    parts = {part: padded(tokens[part], labels[part], padding) for part in rows}
    few = np.unique(np.linspace(0, len(rows[TRAIN]) - 1, min(options.calibration, len(rows[TRAIN]))).astype(np.int64))
    own = {name: [each[row] for row in few.tolist()] for name, each in tokens[TRAIN].items()}
    parts[CALIBRATION] = padded(own, labels[TRAIN][few], padding)
    notes = [*_said_of_columns(rows), *_said_of_cuts(tokenizer, rows, tokens, options)]
    return opened_classifier(options, found, parts, options.length, notes)


def other_sentences(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the sentences of another file.

    Raises:
        ConfigError: There is no such file, or it has other classes.
    """
    rows, classes = labelled_texts(name, options.texts), opened.classes
    if classes is None or not set(rows.names) <= set(classes.words):
        known = [] if classes is None else list(classes.words)
        raise ConfigError(f"data: {name!r} has classes {list(rows.names)}, expected some of {known}")
    labels = classes.of_words(rows.names).numbered(rows.labels)
    tokenizer = opened.loaded.tokenizer
    padding = padding_of(opened.loaded, own=options.own_conventions)
    return padded(tokens_of(tokenizer, rows.texts, options.length), labels, padding)


def _rows(options: TransformerOptions) -> dict[str, LabelledTexts]:
    if isinstance(options.data, str):
        rows = labelled_texts(options.data, options.texts)
        return {part: rows.rows(own) for part, own in dealt(rows, options.data).items()}
    wanted = {TRAIN, *SPLITS}
    if set(options.data) != wanted:
        raise ConfigError(f"data: expected one file, or a file for each of {', '.join(sorted(wanted))}")
    rows_by_part = {part: labelled_texts(name, options.texts) for part, name in options.data.items()}
    names = {own.names for own in rows_by_part.values()}
    if len(names) > 1:
        raise ConfigError(f"data: expected the same classes in every part, found {sorted(names)}")
    return rows_by_part


def _said_of_columns(rows: Mapping[str, LabelledTexts]) -> list[str]:
    """Return what a person must know of columns with texts that nobody reads, as of pairs of which one is left."""
    unread = sorted({name for own in rows.values() for name in own.unread})
    if not unread:
        return []
    said = (
        f"The data has more columns with texts, which are not read: {', '.join(unread)}. Where two texts are told "
        "apart together, name both columns: texts: [first, second]."
    )
    return [said]


def _said_of_cuts(
    tokenizer: Any,
    rows: Mapping[str, LabelledTexts],
    tokens: Mapping[str, Tokens],
    options: TransformerOptions,
) -> list[str]:
    texts = [text for own in rows.values() for text in own.texts]
    labels = np.concatenate([own.labels for own in rows.values()])
    return said_of_cut_texts(
        tokenizer, texts, labels, [ids for part in rows for ids in tokens[part]["input_ids"]], options.length
    )
