"""What must fit into the fast memory of a small device."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen


@about("measurement", ["layers"], serves=["channels", "weight-ratios"], cost="a count; nothing is run")
class LargestWeight:
    """Bytes of the largest weight."""

    unit = "B"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "network"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the bytes of one tensor."""
        return float(max(tensor.numel() * tensor.element_size() for tensor in seen.pruned.parameters()))
