"""What a recovery of a transformer can be told, whatever is pruned of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune import plugins
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.transformers.recovery.contract import TransformerRecovery

__all__ = ["TransformerRecoveryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerRecoveryOptions:
    """How a pruned transformer is trained.

    Args:
        method: How: a recovery's name or import target, or a mapping of that and options; `emoprune list recoveries`
            names those that serve the problem.
        epochs: How often the training part is seen; 0.5 is half of it once.
        rate: The highest learning rate.
        rounds: How often something is pruned when rewinding.
        temperature: How soft the unpruned model's probabilities are made when distilling.
        weight: Their share of the loss when distilling, from 0 to 1.
    """

    problem: ClassVar[str]  # what configs call the problem that takes them

    method: str | Mapping[str, Any] = "finetune"
    epochs: float = 1.0
    rate: float = 1e-4
    rounds: int = 3
    temperature: float = 2.0
    weight: float = 0.5

    @property
    def plan(self) -> Plan:
        """How long and how fast the model is trained."""
        return Plan(self.epochs, self.rate, weight_decay=0.0, clip=1.0)

    @property
    def shared(self) -> dict[str, Any]:
        """What is handed on to methods that know it."""
        return {"rounds": self.rounds, "temperature": self.temperature, "weight": self.weight}

    @property
    def name(self) -> str:
        """The method's name or import target."""
        return plugins.named("method", self.method)[0]

    def recovery(self) -> TransformerRecovery:
        """Return the method, made with its options.

        Raises:
            ConfigError: There is none of that name, it does not serve the problem, or an option is wrong.
        """
        made: TransformerRecovery = plugins.method(
            "recovery", self.method, self.problem, option="method", shared=self.shared
        )
        return made
