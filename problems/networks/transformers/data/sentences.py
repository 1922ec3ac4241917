"""Labelled sentences as padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import LabelledTexts, Text
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["TRAIN", "Padding", "Tokens", "alike", "dealt", "encoded", "filled", "padded", "padded_tokens", "tokens_of"]

AT_ONCE = 32
TRAIN = "train"
SHARES = {TRAIN: 0.4, "search": 0.2, "select": 0.2, "test": 0.2}
FEWEST = 2  # rows per part and class, or nothing can be told


Tokens = Mapping[str, list[list[int]]]  # a list for each text, by the name of a model's input


@dataclass(frozen=True, slots=True)
class Padding:
    """What shorter sentences are filled up with, and on which side."""

    token: int
    left: bool = False


def dealt(rows: LabelledTexts, name: str) -> dict[str, NDArray[np.int64]]:
    """Return the row numbers of `train`, `search`, `select` and `test`, every class in the same shares.

    Raises:
        ConfigError: A class has too few rows.
    """
    parts: dict[str, list[NDArray[np.int64]]] = {part: [] for part in SHARES}
    for label, word in enumerate(rows.names):
        own = np.flatnonzero(rows.labels == label)
        own = own[np.random.default_rng(label).permutation(len(own))]
        ends = np.round(np.cumsum([0.0, *SHARES.values()]) * len(own)).astype(np.int64)
        if np.diff(ends).min() < FEWEST:
            raise ConfigError(
                f"data: {name!r} has {len(own)} rows of class {word!r}, expected at least {5 * FEWEST}, which are cut "
                "into four parts; give more, or a file for each part"
            )
        for part, low, high in zip(SHARES, ends[:-1], ends[1:], strict=True):
            parts[part].append(own[low:high])
    return {part: np.sort(np.concatenate(own)) for part, own in parts.items()}


def tokens_of(tokenizer: Any, texts: Sequence[Text], length: int | None) -> Tokens:
    """Return the tokens of each text, begun and ended as the tokenizer does, cut at `length`; None cuts nothing.

    Of pairs, which are joined as the tokenizer does, also to which text each token belongs, if the tokenizer says it.
    """
    if not texts:
        return {"input_ids": []}  # of which tokenizers make no list
    cut = {"truncation": True, "max_length": length} if length is not None else {}
    pairs = [own if isinstance(own, tuple) else (own, None) for own in texts]
    second = None if pairs[0][1] is None else [own for _, own in pairs]
    found = tokenizer([own for own, _ in pairs], second, verbose=False, **cut)
    wanted = ("input_ids",) if second is None else ("input_ids", "token_type_ids")
    return {name: found[name] for name in wanted if name in found}


def encoded(tokenizer: Any, texts: Sequence[Text], length: int | None) -> list[list[int]]:
    """Return the tokens of each text or pair as numbers, as `tokens_of` does."""
    return tokens_of(tokenizer, texts, length)["input_ids"]


def padded(tokens: Tokens, labels: NDArray[np.int64], padding: Padding) -> tuple[Batch, ...]:
    """Return batches of sentences of similar lengths, so that little is padded; labels of shape (n,)."""
    made = []
    for rows in alike(tokens["input_ids"]):
        own = {name: [each[row] for row in rows.tolist()] for name, each in tokens.items()}
        inputs = dict(_inputs(own.pop("input_ids"), padding))
        inputs |= {name: filled(each, Padding(0, padding.left)) for name, each in own.items()}
        made.append(Batch(inputs, torch.from_numpy(labels[rows])))
    return tuple(made)


def padded_tokens(
    sentences: Sequence[list[int]], labels: Sequence[NDArray[np.int64]], padding: Padding, ignored: int
) -> tuple[Batch, ...]:
    """Return batches of sentences with a label for each token, padded with labels that are `ignored`."""
    made = []
    for rows in alike(sentences):
        inputs = _inputs([sentences[row] for row in rows.tolist()], padding)
        own = filled([labels[row].tolist() for row in rows.tolist()], Padding(ignored, padding.left))
        made.append(Batch(inputs, own))
    return tuple(made)


def alike(sentences: Sequence[list[int]]) -> Iterator[NDArray[np.int64]]:
    """Yield the row numbers of sentences of similar lengths, a batch at a time."""
    order = np.argsort([len(ids) for ids in sentences], kind="stable")
    for start in range(0, len(order), AT_ONCE):
        yield order[start : start + AT_ONCE]


def filled(rows: Sequence[list[int]], padding: Padding) -> torch.Tensor:
    """Return rows of numbers, made equally long, shape (rows, longest)."""
    longest = max(map(len, rows))
    made = torch.full((len(rows), longest), padding.token, dtype=torch.int64)
    for number, row in enumerate(rows):
        place = slice(longest - len(row), longest) if padding.left else slice(len(row))
        made[number, place] = torch.tensor(row, dtype=torch.int64)
    return made


def _inputs(sentences: Sequence[list[int]], padding: Padding) -> Mapping[str, torch.Tensor]:
    there = [[1] * len(sentence) for sentence in sentences]
    return {"input_ids": filled(sentences, padding), "attention_mask": filled(there, Padding(0, padding.left))}
