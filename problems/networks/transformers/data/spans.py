"""Questions whose answer is a stretch of a text, as in SQuAD."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.data.sentences import Padding, alike, filled
from emoprune.problems.storage.located import located

__all__ = ["AskedText", "asked_texts", "span_batches"]


@dataclass(frozen=True, slots=True)
class AskedText:
    """A question, a text, and where in it the answer begins and ends, in characters, the end not included."""

    question: str
    context: str
    start: int
    end: int


def asked_texts(name: str) -> tuple[AskedText, ...]:
    """Return the questions of a file in UTF-8 that have an answer, found from here or beside the config.

    SQuAD's form: a .json file with `data`, `paragraphs`, `context` and `qas`; or .jsonl with `question`, `context` and
    `answers`, either a list of `text` and `answer_start` or lists of both. Of several answers the first one counts.

    Raises:
        ConfigError: There is no such file, it is of another form, or an answer does not stand where it should.
    """
    place = located(name)
    if place is None or not place.is_file():
        raise ConfigError(
            f"data: there is no file {name!r} here or beside the config; expected SQuAD's .json, or .jsonl"
        )
    try:
        text = place.read_text(encoding="utf-8-sig")
        lines = text.splitlines() if place.suffix.lower() in {".jsonl", ".ndjson"} else [text]
        rows = [json.loads(line) for line in lines if line.strip()]
        found = tuple(each for row in rows for each in _asked(place, row))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"data: {place.name} cannot be read ({type(error).__name__}: {error}); expected SQuAD's form: question, "
            "context, and answers with text and answer_start"
        ) from error
    if not found:
        raise ConfigError(f"data: {place.name} holds no question with an answer; add some")
    return found


def _asked(place: Path, row: Mapping[str, Any]) -> Iterator[AskedText]:
    if "data" in row:
        for paragraph in (each for entry in row["data"] for each in entry["paragraphs"]):
            for question in paragraph["qas"]:
                yield from _asked(place, {"context": paragraph["context"], **question})
        return
    answers = row["answers"]
    if isinstance(answers, Mapping):
        answers = [
            {"text": text, "answer_start": start}
            for text, start in zip(answers["text"], answers["answer_start"], strict=True)
        ]
    if not answers:
        return  # SQuAD 2 has questions without one
    context, text, start = str(row["context"]), str(answers[0]["text"]), int(answers[0]["answer_start"])
    if context[start : start + len(text)] != text or not text:
        raise ConfigError(
            f"data: {place.name}: expected the answer {text!r} at character {start} of its context, found "
            f"{context[start : start + len(text)]!r}; mend it"
        )
    yield AskedText(str(row["question"]), context, start, start + len(text))


def span_batches(
    tokenizer: Any, asked: Sequence[AskedText], length: int, padding: Padding
) -> tuple[tuple[Batch, ...], int]:
    """Return batches with labels of shape (n, 2), the first and the last token of each answer, and how many are lost.

    Contexts are cut so that question and context have `length` tokens; a question whose answer is cut off is lost.
    """
    found = tokenizer(
        [own.question for own in asked],
        [own.context for own in asked],
        truncation="only_second",
        max_length=length,
        return_offsets_mapping=True,
        verbose=False,
    )
    ends = [_tokens(found, row, own) for row, own in enumerate(asked)]
    kept = [row for row, own in enumerate(ends) if own is not None]
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in found]
    made = []
    for rows in alike([found["input_ids"][row] for row in kept]):
        own = [kept[row] for row in rows.tolist()]
        tokens = {name: padding.token if name == "input_ids" else 0 for name in names}
        inputs = {
            name: filled([found[name][row] for row in own], Padding(token, padding.left))
            for name, token in tokens.items()
        }
        longest = inputs["input_ids"].shape[1]
        before = [longest - len(found["input_ids"][row]) if padding.left else 0 for row in own]
        labels = torch.tensor([ends[row] for row in own]) + torch.tensor(before)[:, None]
        made.append(Batch(inputs, labels))
    return tuple(made), len(asked) - len(kept)


def _tokens(found: Any, row: int, asked: AskedText) -> tuple[int, int] | None:
    """Return the first and the last token of an answer; None if they were cut off."""
    within = [
        number
        for number, (part, (start, end)) in enumerate(
            zip(found.sequence_ids(row), found["offset_mapping"][row], strict=True)
        )
        if part == 1 and start < asked.end and end > asked.start
    ]
    whole = bool(within) and found["offset_mapping"][row][within[-1]][1] >= asked.end
    return (within[0], within[-1]) if whole and found["offset_mapping"][row][within[0]][0] <= asked.start else None
