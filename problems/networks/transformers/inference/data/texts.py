"""Texts that a model reads first and then goes on with: prose, and questions about what stands far back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.texts import text_named
from emoprune.problems.networks.transformers.data.windows import beginning_of, windows_of, windows_of_parts
from emoprune.problems.networks.transformers.inference.data.questions import key_values, pass_key

__all__ = ["Continued", "Wanted", "digest_of", "texts_of"]

AT_ONCE = 4  # rows in a batch: fixed, because the size of a batch decides the last bits of a result
FILLER = "filler"
MAKERS = {"pass-keys": pass_key, "key-values": key_values}


@dataclass(frozen=True, slots=True, eq=False)
class Continued:
    """Texts of one length.

    Attributes:
        read: What is read first, shape (rows, context).
        following: What follows, of which all but the first token are predicted, shape (rows, tokens).
        question: Whether what is predicted answers a question, rightly only if every token of it is.
    """

    read: torch.Tensor
    following: torch.Tensor
    question: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many texts: windows of prose by part, and of each kind of question as many in every part."""

    context: int
    continued: int
    prose: Mapping[str, int]
    questions: Mapping[str, int]


def texts_of(tokenizer: Any, data: str, wanted: Wanted) -> dict[str, tuple[Continued, ...]]:
    """Return texts by part; no two parts share any, and what surrounds what is asked about is prose of no part.

    Args:
        tokenizer: The model's.
        data: As in `text_named`.
        wanted: How many, and how long.

    Raises:
        ConfigError: There is too little text, or the context is too short for a question.
    """
    length = wanted.context + wanted.continued
    windows = windows_of(tokenizer, text_named(data), length, data, (beginning_of(tokenizer), ()))
    fillers = {f"{part} {FILLER}": sum(wanted.questions.values()) for part in wanted.prose}
    dealt = windows_of_parts(windows, {**wanted.prose, **fillers}, data)
    parts = {}
    for number, part in enumerate(wanted.prose):
        prose = [batch.inputs["input_ids"] for batch in dealt[part]]
        filler = [batch.inputs["input_ids"] for batch in dealt[f"{part} {FILLER}"]]
        rows = torch.cat(filler) if filler else windows[:0]
        asked = _questions(tokenizer, rows, wanted, np.random.default_rng([7, number]))
        parts[part] = (
            *(Continued(ids[:, : wanted.context], ids[:, wanted.context :], question=False) for ids in prose),
            *asked,
        )
    return parts


def _questions(tokenizer: Any, filler: torch.Tensor, wanted: Wanted, rng: np.random.Generator) -> list[Continued]:
    kinds = [kind for kind, count in wanted.questions.items() for _ in range(count)]
    begun = len(beginning_of(tokenizer))
    made = []
    for kind, row in zip(kinds, filler.tolist(), strict=True):
        asked, answer = MAKERS[kind](tokenizer, row[begun:], wanted.context + 1 - begun, rng)
        made.append((row[:begun] + asked, answer))
    made.sort(key=lambda own: len(own[1]))
    return [
        _batch(group[start : start + AT_ONCE])
        for _, each in groupby(made, key=lambda own: len(own[1]))
        for group in [list(each)]
        for start in range(0, len(group), AT_ONCE)
    ]


def _batch(rows: Sequence[tuple[list[int], list[int]]]) -> Continued:
    read = torch.tensor([asked[:-1] for asked, _ in rows])
    following = torch.tensor([[asked[-1], *answer] for asked, answer in rows])
    return Continued(read, following, question=True)


def digest_of(parts: Mapping[str, Sequence[Continued]]) -> str:
    """Return a digest of all tokens by part."""
    digest = hashlib.sha256()
    for part, texts in parts.items():
        for text in texts:
            digest.update(f"{part} {tuple(text.read.shape)} {tuple(text.following.shape)};".encode())
            digest.update(text.read.numpy().tobytes() + text.following.numpy().tobytes())
    return digest.hexdigest()


def check_fits(config: Any, wanted: Wanted) -> None:
    """Refuse texts longer than the model has positions for.

    Raises:
        ConfigError: It says how long they may be.
    """
    most = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    length = wanted.context + wanted.continued
    if most is not None and length > most:
        raise ConfigError(
            f"context: expected at most {most} tokens with those that follow, which the model has positions for, found "
            f"{wanted.context} and {wanted.continued}; set a smaller context"
        )
