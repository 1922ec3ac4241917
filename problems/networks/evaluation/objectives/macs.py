"""How much there is to multiply."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import SERVES, Needs, Seen

__all__ = ["Macs"]


@about("measurement", ["network"], serves=SERVES, cost="a count; nothing is run")
class Macs:
    """Multiply-accumulates of convolutions and linear layers for one image."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the count, biases left out."""
        return seen.counts["macs"]
