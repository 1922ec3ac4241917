"""A text as windows of tokens, dealt out to the parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["REST", "windows_of", "windows_of_parts"]

REST = "rest"  # windows that no part wants: to train on
AT_ONCE = 4  # windows per batch: fixed, because the size of a batch decides the last bits of a result


def windows_of(tokenizer: Any, text: str, length: int, name: str) -> torch.Tensor:
    """Return a text's tokens as windows, shape (windows, length); the last ones that fill none are left out.

    Raises:
        ConfigError: The text is shorter than a window.
    """
    ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    if len(ids) < length:
        raise ConfigError(
            f"data: the text {name!r} has {len(ids)} tokens, expected at least one window of {length}; give more text "
            "or a smaller length"
        )
    count = len(ids) // length
    return torch.tensor(ids[: count * length]).view(count, length)


def windows_of_parts(windows: torch.Tensor, wanted: Mapping[str, int], name: str) -> dict[str, tuple[Batch, ...]]:
    """Deal windows out to parts, each as many as wanted, and what is left to `rest`; their number alone says which.

    Raises:
        ConfigError: There are too few.
    """
    total = sum(wanted.values())
    if total > len(windows):
        asked = ", ".join(f"{part} {count}" for part, count in wanted.items())
        raise ConfigError(
            f"data: the text {name!r} gives {len(windows)} windows, {total} are asked for ({asked}); give more text, a "
            "smaller length, or ask for fewer windows"
        )
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(windows)))
    parts, start = {}, 0
    for part, count in wanted.items():
        own = windows[order[start : start + count]]
        start += count
        parts[part] = _batches(own)
    parts[REST] = _batches(windows[order[start:]])
    return parts


def _batches(windows: torch.Tensor) -> tuple[Batch, ...]:
    return tuple(Batch({"input_ids": ids}, torch.zeros(len(ids))) for ids in torch.split(windows, AT_ONCE) if len(ids))
