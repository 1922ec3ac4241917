"""How uncertain the answers are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["Entropy"]


@about("measurement", ["tokens"], serves=SERVES, cost="the answers of each example")
class Entropy:
    """Mean uncertainty about the choices."""

    unit = "nats"
    direction = Direction.MINIMISE
    best = 0.0
    worst = None
    needs: ClassVar[Needs] = "choices"

    def __call__(self, seen: Seen) -> NDArray[np.float64]:
        """Return the uncertainty per example."""
        logs = seen.answers.log_probabilities
        probabilities = np.exp(logs)
        terms = np.where(probabilities > 0, probabilities * np.where(np.isfinite(logs), logs, 0.0), 0.0)
        return np.asarray(-terms.sum(axis=1))
