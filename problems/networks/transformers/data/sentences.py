"""Labelled sentences as padded batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.language.labelled import LabelledTexts
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["TRAIN", "dealt", "padded"]

AT_ONCE = 32
TRAIN = "train"
SHARES = {TRAIN: 0.4, "search": 0.2, "select": 0.2, "test": 0.2}
FEWEST = 2  # rows per part and class, or nothing can be told


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


def padded(tokenizer: Any, rows: LabelledTexts, length: int) -> tuple[Batch, ...]:
    """Return batches of sentences of similar lengths, cut at `length` tokens, so that little is padded."""
    encoded = tokenizer(list(rows.texts), truncation=True, max_length=length, verbose=False)["input_ids"]
    order = np.argsort([len(ids) for ids in encoded], kind="stable")
    pieces = [order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE)]
    return tuple(_batch(tokenizer, [encoded[row] for row in piece.tolist()], rows.labels[piece]) for piece in pieces)


def _batch(tokenizer: Any, sentences: list[list[int]], labels: NDArray[np.int64]) -> Batch:
    longest = max(map(len, sentences))
    filler = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    ids = torch.full((len(sentences), longest), filler, dtype=torch.int64)
    mask = torch.zeros((len(sentences), longest), dtype=torch.int64)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = torch.tensor(sentence)
        mask[row, : len(sentence)] = 1
    inputs: Mapping[str, torch.Tensor] = {"input_ids": ids, "attention_mask": mask}
    return Batch(inputs, torch.from_numpy(labels))
