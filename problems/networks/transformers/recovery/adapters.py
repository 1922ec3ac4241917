"""Low-rank adapters: a small correction of every linear layer is trained, and added to its weight at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import seeded
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.transformers.standalone.narrowing import Repeated

__all__ = ["with_adapters"]


def with_adapters(model: Any, path: str, rank: int, seed: int, train: Callable[[Any], None]) -> Any:
    """Return the model with adapters of `rank` trained by `train` and merged into its weights.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685.

    Args:
        model: In eval mode, with tensors of its own.
        path: The list of its layers, whose linear layers get adapters.
        rank: How many numbers each adapter passes on.
        seed: The adapters are drawn from it.
        train: Trains the parameters that take gradients.

    Raises:
        ConfigError: peft is not installed, or the rank is below 1.
    """
    if rank < 1:
        raise ConfigError(f"rank: expected 1 or more, found {rank}")
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise ConfigError(
            f"method lora: peft cannot be imported ({error}); pip install 'emoprune[transformers]'"
        ) from error
    targets = [
        name
        for name, module in model.named_modules()
        # A layer that repeats its heads, or has none left, has no adapter's shape.
        if name.startswith(f"{path}.") and type(module) is nn.Linear and not isinstance(module, Repeated)
        if module.weight.numel()
    ]
    with quiet(), seeded(seed):
        adapted = get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
    adapted.eval()
    train(adapted)
    merged: Any = adapted.merge_and_unload()
    return merged.requires_grad_(requires_grad=False).eval()
