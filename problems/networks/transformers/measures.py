"""What can be measured of a narrowed transformer, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from emoprune.contracts import Direction, Measure
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.evaluation.objectives.bytes import Bytes
from emoprune.problems.networks.evaluation.objectives.contract import Needs, Seen
from emoprune.problems.networks.evaluation.objectives.error import Error
from emoprune.problems.networks.evaluation.objectives.kl import KL
from emoprune.problems.networks.evaluation.objectives.loss import Loss
from emoprune.problems.networks.evaluation.objectives.macs import Macs
from emoprune.problems.networks.evaluation.objectives.milliseconds import Milliseconds
from emoprune.problems.networks.evaluation.objectives.parameters import Parameters

__all__ = ["measures_of"]


class Perplexity(Loss):
    """e to the mean loss of the next token; a task computes it with all other scores."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"


def measures_of(
    objectives: Sequence[Any], at_most: Mapping[str, float], unpruned: Mapping[str, float], scored: Sequence[str]
) -> Measures:
    """Return the measures of a task that is scored by some of them, checked."""
    scores: Mapping[str, Measure[Seen]] = {"perplexity": Perplexity(), "loss": Loss(), "error": Error(), "kl": KL()}
    counted: Mapping[str, Measure[Seen]] = {
        "macs": Macs(),
        "parameters": Parameters(),
        "bytes": Bytes(),
        "milliseconds": Milliseconds(),
    }
    return Measures(tuple(objectives), dict(at_most), unpruned, {**{name: scores[name] for name in scored}, **counted})
