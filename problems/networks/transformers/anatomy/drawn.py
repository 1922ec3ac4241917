"""Small models with drawn weights, to try descriptions of architectures on."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["HIDDEN", "LAYERS", "NEURONS", "SIZES", "TOKENS", "drawn"]

HIDDEN, NEURONS, LAYERS, HEADS = 32, 48, 2, 4
TOKENS = {"vocab_size": 28, "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    **TOKENS,
    "hidden_size": HIDDEN,
    "intermediate_size": NEURONS,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
}


def drawn(name: str, config: str, **options: Any) -> Any:
    """Return a model of transformers in eval mode; every parameter is drawn, so that none can be forgotten unseen.

    Args:
        name: Its class.
        config: Its config's class.
        options: Of the config.
    """
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, name)(getattr(transformers, config)(**options))
        for parameter in model.parameters():
            shift = 1.0 if parameter.ndim == 1 and bool((parameter == 1).all()) else 0.0  # norms stay near to 1
            torch.nn.init.normal_(parameter, mean=shift, std=0.2)
    return model.eval().requires_grad_(requires_grad=False)
