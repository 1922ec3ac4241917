"""How often something that stands in a text is not found in it."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs
from emoprune.problems.networks.transformers.inference.measures import READING, SeenInference

__all__ = ["Missed"]


@about("measurement", ["tokens"], serves=READING, cost="the answers to the questions are run")
class Missed:
    """Share of questions about a long text, such as for a pass key hidden in it, that are answered wrongly."""

    unit = ""
    direction = Direction.MINIMISE
    worst = 1.0
    needs: ClassVar[Needs] = "outputs"

    def __call__(self, seen: SeenInference) -> float:
        """Return the share."""
        return float(seen.of_questions().mean())
