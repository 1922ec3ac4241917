"""Writing text greedily, with a cache or without; needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["written"]

WRITTEN = 8  # tokens


def written(model: Any, prompts: Mapping[str, torch.Tensor], *, cached: bool) -> torch.Tensor:
    """Return the tokens that a model writes greedily after prompts."""
    found: torch.Tensor = model.generate(
        **prompts, max_new_tokens=WRITTEN, min_new_tokens=WRITTEN, do_sample=False, use_cache=cached, pad_token_id=3
    )
    return found[:, prompts["input_ids"].shape[1] :].contiguous()
