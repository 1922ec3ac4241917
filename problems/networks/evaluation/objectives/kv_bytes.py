"""How much a language model keeps of each token of a text while it writes on."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen

__all__ = ["KvBytes"]


@about("measurement", ["heads", "layers"], serves=["heads-and-neurons"], cost="a count; nothing is run")
class KvBytes:
    """Bytes of the keys and values that a cache takes for each token, of a language model.

    Where some keys lose more of their queries than others, every query head keeps a key and a value of its own.
    """

    unit = "B"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "counts"
    shares: ClassVar[bool] = True

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return seen.counts["kv-bytes"]
