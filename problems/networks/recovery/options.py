"""What a recovery of a network can be told, whatever is pruned of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from emoprune import plugins
from emoprune.contracts import Recovery
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.recover import note_of

__all__ = ["RecoveryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryOptions:
    """How a pruned network is trained, and what is written.

    Args:
        epochs: How often all training images are seen; 0.5 is half of them once.
        method: finetune trains towards the labels, distil also towards the unpruned network's outputs; or another one
            of `emoprune list recoveries`, or a mapping of a name and options.
        rate: The highest learning rate.
        batch: Images per step.
        temperature: How soft the unpruned network's probabilities are made when distilling.
        weight: Their share of the loss when distilling, from 0 to 1.
        rounds: How often something is pruned when rewinding.
        flips: Mirror half of the images.
        shift: Move each image by up to so many pixels.
        formats: What is written, as of an export: safetensors and a program if none is named.
    """

    problem: ClassVar[str]  # what configs call the problem that takes them

    epochs: float = 10.0
    method: str | Mapping[str, Any] = "finetune"
    rate: float = 0.02
    batch: int = 64
    temperature: float = 4.0
    weight: float = 0.9
    rounds: int = 3
    flips: bool = False
    shift: int = 0
    formats: Sequence[str] = ()

    @property
    def plan(self) -> Plan:
        """How long and how fast the network is trained."""
        return Plan(self.epochs, self.rate, self.batch, flips=self.flips, shift=self.shift)

    @property
    def shared(self) -> dict[str, Any]:
        """What is handed on to methods that know it."""
        return {"temperature": self.temperature, "weight": self.weight, "rounds": self.rounds}

    def recovery(self) -> Recovery[Any, nn.Module]:
        """Return the method, made with its options.

        Raises:
            ConfigError: There is none of that name, it does not serve the problem, or an option is wrong.
        """
        made: Recovery[NetworkCase, nn.Module] = plugins.method(
            "recovery", self.method, self.problem, option="method", shared=self.shared
        )
        return made

    def note(self, recovery: object) -> str:
        """Return what a person reads of the recovery where the network is written."""
        return note_of(recovery, plugins.named("method", self.method)[0], self.epochs)
