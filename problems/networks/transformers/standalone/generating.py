"""Writing on from a batch of prompts, padded on the left, with or without a cache. Needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Tensors = Mapping[str, torch.Tensor]


def written(model: Any, prompts: Tensors, tokens: int, *, cached: bool) -> dict[str, torch.Tensor]:
    """Return the most probable `tokens`, shape (rows, tokens), and their logits, shape (rows, tokens, vocabulary).

    Args:
        model: A model of transformers that writes.
        prompts: `input_ids` and `attention_mask`, shape (rows, longest prompt).
        tokens: How many are written, whether or not the text would end before.
        cached: Whether keys and values of former tokens are kept, instead of computed anew for each token.
    """
    ids = prompts["input_ids"]
    found = model.generate(
        **prompts,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        num_beams=1,
        use_cache=cached,
        pad_token_id=int(ids[-1, 0]),
        output_logits=True,
        return_dict_in_generate=True,
    )
    return {"tokens": found.sequences[:, -tokens:].contiguous(), "logits": torch.stack(found.logits, dim=1)}


def apart(found: Tensors, wanted: Tensors) -> float:
    """Return the largest absolute difference of logits, in each row up to the first token that is another one."""
    largest = torch.zeros(())
    for own, other, found_logits, wanted_logits in zip(
        found["tokens"], wanted["tokens"], found["logits"], wanted["logits"], strict=True
    ):
        differ = torch.nonzero(own != other).flatten()
        seen = len(own) if len(differ) == 0 else int(differ[0]) + 1
        largest = torch.maximum(largest, (found_logits[:seen] - wanted_logits[:seen]).abs().max())
    return float(largest)
