"""Low-rank adapters: a small correction of every linear layer is trained, and added to its weight at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.compute.device import seeded
from emoprune.problems.language.quiet import quiet
from emoprune.problems.networks.transformers.recovery.contract import RecoveredModel, RecoveryCase
from emoprune.problems.networks.transformers.standalone.attentions import Repeated

__all__ = ["Lora"]


@about(
    "recovery",
    ["weights"],
    serves=["heads-and-neurons"],
    papers=[Paper("LoRA: Low-Rank Adaptation of Large Language Models", "2106.09685")],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, for few of the weights",
)
@dataclass(frozen=True, slots=True)
class Lora:
    """Trains low-rank adapters of all linear layers and merges them into the weights.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685.

    Args:
        rank: How many numbers each adapter passes on.
    """

    rank: int = 8

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError(f"rank: expected 1 or more, found {self.rank}")

    def __call__(self, case: RecoveryCase) -> RecoveredModel:
        """Return the model with the adapters merged.

        Raises:
            ConfigError: peft is not installed, or training diverged.
        """
        adapted = self._adapted(case)
        spent = case.train(adapted, "lora", loss=lambda own, batch: case.loss(_inner(own), batch), within=_inner)
        return RecoveredModel(adapted.merge_and_unload().eval(), case.plans, spent)

    def _adapted(self, case: RecoveryCase) -> Any:
        try:
            from peft import LoraConfig, get_peft_model
        except ImportError as error:
            raise ConfigError(
                f"method lora: peft cannot be imported ({error}); pip install 'emoprune[transformers]'"
            ) from error
        case.opened.anatomy.check_one_stack("method lora")
        model = case.model().requires_grad_(requires_grad=False)
        targets = [
            name
            for name, module in model.named_modules()
            # A layer that repeats its heads, or has none left, has no adapter's shape.
            if name.startswith(f"{case.opened.anatomy.path}.") and type(module) is nn.Linear
            if not isinstance(module, Repeated) and module.weight.numel()
        ]
        with quiet(), seeded(case.seed):
            settings = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, target_modules=targets)
            return get_peft_model(model, settings).eval()


def _inner(adapted: Any) -> Any:
    """Return the model inside adapters, whose layers lie where the model's own do."""
    return adapted.base_model.model
