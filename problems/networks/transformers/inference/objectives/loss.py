"""How surprised a model is by what follows."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.networks.evaluation.objectives.contract import Needs
from emoprune.problems.networks.transformers.inference.measures import READING, SeenInference

__all__ = ["Loss"]


@about("measurement", ["tokens"], serves=READING, cost="what follows a prompt is run")
class Loss:
    """Mean negative log-likelihood of each token that follows what was read."""

    unit = "nats"
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"

    def __call__(self, seen: SeenInference) -> float:
        """Return the mean."""
        return float(seen.losses.mean())
