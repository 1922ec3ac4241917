"""A text as windows of tokens, dealt out to the parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["REST", "beginning_of", "ending_of", "windows_of", "windows_of_parts"]

REST = "rest"  # windows that no part wants: to train on
AT_ONCE = 4  # windows per batch: fixed, because the size of a batch decides the last bits of a result


def beginning_of(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer puts before every text, such as the one for its beginning; often none.

    What it puts behind a text ends it, and a window ends in the middle of one.
    """
    special = set(tokenizer.all_special_ids)
    return list(takewhile(special.__contains__, tokenizer("a").input_ids))


def ending_of(tokenizer: Any) -> list[int]:
    """Return the tokens that the tokenizer puts behind every text; often none."""
    special = set(tokenizer.all_special_ids)
    return list(takewhile(special.__contains__, reversed(tokenizer("a").input_ids)))[::-1]


def windows_of(
    tokenizer: Any,
    text: str,
    length: int,
    name: str,
    around: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> torch.Tensor:
    """Return a text's tokens as windows, shape (windows, length); the last ones that fill none are left out.

    Args:
        tokenizer: The model's.
        text: Whole.
        length: Tokens in a window, those `around` it among them.
        name: What messages call the text.
        around: What every window begins and ends with.

    Raises:
        ConfigError: The text is shorter than a window.
    """
    ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    put = sum(map(len, around))
    own = length - put
    if own < 1:
        raise ConfigError(f"length: expected more than the {put} tokens put around a window, found {length}")
    if len(ids) < own:
        raise ConfigError(
            f"data: the text {name!r} has {len(ids)} tokens, expected at least one window of {own}; give more text "
            "or a smaller length"
        )
    count = len(ids) // own
    windows = torch.tensor(ids[: count * own]).view(count, own)
    before, behind = (torch.tensor(list(each), dtype=windows.dtype).expand(count, -1) for each in around)
    return torch.cat([before, windows, behind], dim=1)


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
