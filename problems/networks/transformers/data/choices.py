"""Questions with a few answers to choose from."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.data.sentences import AT_ONCE, Padding, filled
from emoprune.problems.storage.located import located

__all__ = ["Question", "choice_batches", "questions", "said_of_cut_questions"]

TEXTS = ("question", "context", "prompt", "startphrase", "sent1", "goal", "sentence")
MORE = ("sent2",)  # how the answers begin, where they all begin alike
RIGHT = ("label", "answer", "answerkey", "gold")
_OFFERED = re.compile(r"(?:ending|choice|option|sol)_?(\d+)")


@dataclass(frozen=True, slots=True)
class Question:
    """A text, what can follow it or answer it, and the number of the right one, from 0."""

    text: str
    choices: tuple[str, ...]
    right: int


def questions(name: str) -> tuple[Question, ...]:
    """Return the questions of a file in UTF-8, found from here or beside the config.

    A .jsonl file has an object per line, with `choices` as a list, or as lists of `text` and `label`; CSV and TSV have
    a column for each choice (`ending0`, `choice0`, `option0`, `sol1`). The text is in `question`, `context`, `prompt`,
    `startphrase`, `sent1` (with `sent2` before each answer), `goal` or `sentence`; the right one in `label`, `answer`,
    `answerkey` or `gold`, as a number from 0 or as a choice's label.

    Raises:
        ConfigError: There is no such file, it is of another form, or questions have different numbers of choices.
    """
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(f"data: there is no file {name!r} here or beside the config; expected .jsonl, CSV or TSV")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data: {place.name} cannot be read: {error}; expected UTF-8") from error
    found = tuple(_question(place, number, row) for number, row in enumerate(_rows(place, text), start=1))
    sizes = sorted({len(each.choices) for each in found})
    if len(sizes) != 1 or sizes[0] < 2:
        raise ConfigError(
            f"data: {place.name}: expected the same number of choices for every question, two or more, found "
            f"{', '.join(map(str, sizes)) or 'no question'}"
        )
    return found


def _rows(place: Path, text: str) -> list[dict[str, Any]]:
    if place.suffix.lower() in {".jsonl", ".ndjson"}:
        try:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise ConfigError(f"data: {place.name}: expected a JSON object per line, found {error}") from error
    else:
        delimiter = "\t" if place.suffix.lower() == ".tsv" else ","
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
    if not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"data: {place.name}: expected a JSON object per line")
    return [{str(key).strip().lower(): value for key, value in row.items() if key is not None} for row in rows]


def _question(place: Path, number: int, row: Mapping[str, Any]) -> Question:
    text = next((str(row[name]) for name in TEXTS if name in row), None)
    right = next((str(row[name]).strip() for name in RIGHT if name in row), None)
    choices, labels = _offered(row)
    begun = next((f"{row[name]} " for name in MORE if row.get(name)), "")
    if text is None or right is None or right not in labels:
        raise ConfigError(
            f"data: {place.name}, question {number}: expected a text ({', '.join(TEXTS)}), choices, and in one of "
            f"{', '.join(RIGHT)} which is right, one of {', '.join(labels) or 'no choices'}; found "
            f"{', '.join(row)}{'' if right is None else f', and {right!r}'}"
        )
    return Question(text, tuple(f"{begun}{choice}" for choice in choices), labels.index(right))


def _offered(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the choices, and what each is called."""
    given = row.get("choices")
    if isinstance(given, Mapping):
        return [str(own) for own in given.get("text", [])], [str(own) for own in given.get("label", [])]
    if isinstance(given, list):
        return [str(own) for own in given], [str(number) for number in range(len(given))]
    columns = sorted((name for name in row if _OFFERED.fullmatch(name)), key=lambda name: int(re.sub(r"\D", "", name)))
    return [str(row[name]) for name in columns], [str(number) for number in range(len(columns))]


def choice_batches(tokenizer: Any, asked: Sequence[Question], length: int, padding: Padding) -> tuple[Batch, ...]:
    """Return batches with inputs of shape (n, choices, tokens): each question's text paired with each choice."""
    made = []
    for start in range(0, len(asked), AT_ONCE):
        own = asked[start : start + AT_ONCE]
        found = tokenizer(*_paired(own), truncation=True, max_length=length, verbose=False)
        fill = {"input_ids": padding.token, "attention_mask": 0, "token_type_ids": 0}
        shape = (len(own), len(own[0].choices), -1)
        inputs = {
            name: filled(found[name], Padding(token, padding.left)).view(shape)
            for name, token in fill.items()
            if name in found
        }
        made.append(Batch(inputs, torch.tensor([question.right for question in own])))
    return tuple(made)


def said_of_cut_questions(tokenizer: Any, asked: Sequence[Question], length: int) -> list[str]:
    """Return what a person must know of questions that are cut at `length` tokens; nothing if none is."""
    sizes = [len(ids) for ids in tokenizer(*_paired(asked), verbose=False)["input_ids"]] if asked else []
    each = len(sizes) // max(1, len(asked))
    cut = sum(max(sizes[start : start + each]) > length for start in range(0, len(sizes), each or 1))
    if not cut:
        return []
    said = (
        f"{cut:,} of {len(asked):,} questions with one of their choices are longer than length: {length} tokens and "
        f"are cut there; the longest has {max(sizes):,}."
    )
    return [said]


def _paired(asked: Sequence[Question]) -> tuple[list[str], list[str]]:
    """Return the question of every choice, and the choices."""
    texts = [question.text for question in asked for _ in question.choices]
    return texts, [choice for question in asked for choice in question.choices]
