"""What the unpruned model computes while it reads: keys and values of every layer, and how important each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from emoprune.problems.networks.transformers.inference.options import Number
from emoprune.problems.networks.transformers.inference.reading.contract import Importance
from emoprune.problems.networks.transformers.inference.standalone.evicting import (
    EvictingCache,
    Policy,
    cache_argument,
)
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.problems.storage.arrays import Weights

__all__ = ["bytes_of", "recorded", "restored"]

Tensors = Mapping[str, torch.Tensor]


class _Starts:
    """Asks several how important keys are, layer by layer."""

    def __init__(self, importances: Mapping[str, Importance]) -> None:
        self._importances = importances
        self.found: list[dict[str, torch.Tensor]] = []

    def start(self, weights: torch.Tensor) -> torch.Tensor:
        self.found.append({name: own.start(weights) for name, own in self._importances.items()})
        return Recent().start(weights)


def recorded(model: Any, read: torch.Tensor, importances: Mapping[str, Importance], numbers: Number) -> Weights:
    """Return keys, values and scores by layer, as `restored` takes them.

    Args:
        model: It attends as `evicting.use` makes it.
        read: Tokens, shape (rows, context).
        importances: Whose scores are kept, by name.
        numbers: In which keys and values are kept; scores are always of 32 bits.
    """
    layers = model.config.get_text_config(decoder=True).num_hidden_layers
    starts = _Starts(importances)
    cache = EvictingCache(Policy((1.0,) * layers, 0, 1, 0.0, starts), model.config)
    with torch.inference_mode():
        model(input_ids=read, use_cache=True, logits_to_keep=1, **{cache_argument(model): cache})
    kept: dict[str, Any] = {}
    for number, layer in enumerate(cache.layers):
        for name in ("keys", "values"):
            kept[f"{name}.{number}"] = getattr(layer, name).to(getattr(torch, numbers)).numpy()
        for name, scores in starts.found[number].items():
            kept[f"{name}.{number}"] = scores.to(torch.float32).numpy()
    return kept


def restored(record: Tensors, policy: Policy, importance: str, model: Any) -> EvictingCache:
    """Return the cache of a model that has just read, what is beyond the budgets dropped.

    Args:
        record: Of one batch of texts.
        policy: What is kept.
        importance: The name of the policy's importance.
        model: It says what numbers it computes in.
    """
    cache = EvictingCache(policy, model.config)
    for number, layer in enumerate(cache.layers):
        keys, values = (record[f"{name}.{number}"].to(model.dtype) for name in ("keys", "values"))
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        places = torch.arange(keys.shape[2], device=keys.device).expand(len(keys), -1)
        layer.begin(record[f"{importance}.{number}"], places)
    return cache


def bytes_of(config: Any, tokens: int, importances: int, numbers: Number) -> int:
    """Return the bytes of a record of texts that have so many tokens together."""
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    held = 2 * (getattr(config, "num_key_value_heads", None) or heads) * width * np.dtype(numbers).itemsize
    return int(tokens) * int(config.num_hidden_layers) * (int(held) + importances * int(heads) * 4)
