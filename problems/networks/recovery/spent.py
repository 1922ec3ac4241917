"""What training took, counted in the same way whatever is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["Spent"]


@dataclass(frozen=True, slots=True)
class Spent:
    """What training took: optimisation steps, how many tokens or examples went through, and seconds.

    `epochs` and `forward_macs` are counted by what trains in rounds or with masks: how often the training part was
    seen, and the multiply-accumulates of all forward passes, those with zeros among them: dense kernels do them.
    """

    steps: int
    seen: int
    seconds: float
    epochs: float = 0.0
    forward_macs: float = 0.0

    @property
    def backward_macs(self) -> float:
        """The multiply-accumulates of all backward passes: by the weights and by the inputs, twice the forward ones."""
        return 2 * self.forward_macs

    def __str__(self) -> str:
        counted = f", {self.forward_macs + self.backward_macs:.3g} multiply-accumulates" if self.forward_macs else ""
        return f"{self.steps} steps, {self.seen:,} tokens or examples{counted}, {self.seconds:.0f} s"

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, own.name) + getattr(other, own.name) for own in fields(self)))

    def described(self) -> dict[str, int | float]:
        """Return it as a person reads it, where something was recovered."""
        plain: dict[str, int | float] = {"steps": self.steps, "seen": self.seen}
        if self.forward_macs:
            plain |= {"epochs": round(self.epochs, 4)}
            plain |= {"forward macs": self.forward_macs, "backward macs": self.backward_macs}
        return {**plain, "seconds": round(self.seconds, 1)}

    def as_json(self) -> dict[str, Any]:
        """Return plain data that the constructor takes by name."""
        return asdict(self)
