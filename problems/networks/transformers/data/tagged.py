"""Sentences with a tag for each word, and their tokens: the first one of a word has its tag."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.storage.located import located

__all__ = ["IGNORED", "TaggedSentence", "tagged_sentences", "tagged_tokens"]

IGNORED = -100  # the label of a token that has none, as torch's losses know it
WORDS = ("tokens", "words")
TAGS = ("ner_tags", "tags", "labels", "pos_tags")
_DOCUMENT = "-DOCSTART-"  # a line of CoNLL's that begins a document and is no word


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words, and as many tags."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def tagged_sentences(name: str) -> tuple[TaggedSentence, ...]:
    """Return the sentences of a file in UTF-8, found from here or beside the config.

    A .jsonl file has an object per line, with a list of words in `tokens` or `words` and one of tags in `ner_tags`,
    `tags`, `labels` or `pos_tags`. Every other file is CoNLL's: a word per line, its tag in the last column, an empty
    line behind each sentence.

    Raises:
        ConfigError: There is no such file, or it is of another form.
    """
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(
            f"data: there is no file {name!r} here or beside the config; expected CoNLL's form (a word and its tag per "
            "line) or .jsonl with tokens and tags"
        )
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data: {place.name} cannot be read: {error}; expected UTF-8") from error
    read = _objects if place.suffix.lower() in {".jsonl", ".ndjson"} else _columns
    found = tuple(read(place, lines))
    if not found:
        raise ConfigError(f"data: {place.name} holds no sentence; add some")
    return found


def _objects(place: Path, lines: Sequence[str]) -> Iterator[TaggedSentence]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"data: {place.name}, row {number}: expected a JSON object, found {error}") from error
        words, tags = (_member(row, names) for names in (WORDS, TAGS))
        if words is None or tags is None or len(words) != len(tags):
            raise ConfigError(
                f"data: {place.name}, row {number}: expected a list in one of {', '.join(WORDS)} and one as long in "
                f"one of {', '.join(TAGS)}, found {line[:80]!r}"
            )
        if words:
            yield TaggedSentence(words, tags)


def _member(row: object, names: Sequence[str]) -> tuple[str, ...] | None:
    found = next((row[name] for name in names if name in row), None) if isinstance(row, Mapping) else None
    return tuple(str(each) for each in found) if isinstance(found, list) else None


def _columns(place: Path, lines: Sequence[str]) -> Iterator[TaggedSentence]:
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*lines, ""], start=1):
        cells = line.split()
        if cells and cells[0] != _DOCUMENT:
            if len(cells) < 2:
                raise ConfigError(f"data: {place.name}, row {number}: expected a word and its tag, found {line[:80]!r}")
            words.append(cells[0])
            tags.append(cells[-1])
        elif words:
            yield TaggedSentence(tuple(words), tuple(tags))
            words, tags = [], []


def tagged_tokens(
    tokenizer: Any, sentences: Sequence[TaggedSentence], number: Mapping[str, int], length: int
) -> tuple[list[list[int]], list[NDArray[np.int64]]]:
    """Return the tokens of each sentence, cut at `length`, and their labels: a word's first token has its tag's."""
    words = [list(sentence.words) for sentence in sentences]
    found = tokenizer(words, is_split_into_words=True, truncation=True, max_length=length, verbose=False)
    labels = []
    for row, sentence in enumerate(sentences):
        owners: list[int | None] = found.word_ids(row)
        before = [None, *owners[:-1]]
        tagged = [
            IGNORED if own is None or own == last else number[sentence.tags[own]]
            for own, last in zip(owners, before, strict=True)
        ]
        labels.append(np.array(tagged, dtype=np.int64))
    return found["input_ids"], labels
