"""How many channels a stream's network has."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.tables.objectives.contract import Seen

__all__ = ["Channels"]


@about("measurement", ["channels"], serves=["tabular-stream"], cost="a count; one network is trained")
class Channels:
    """Channels of the layers of the network that learns, together; nought of a learner that has none."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(sum(getattr(seen.trained.model, "channels", ())))
