"""What says how good a network is: what references are picked by, parts are joined by and audits hold against a search.

A measure says of itself whether it does; of a config's objectives the first that does is taken, in its own direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Direction, FloatArray, Measure, Objective, as_minimised, number_of
from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.objectives.contract import OUTPUTS, OUTPUTS_OF_BOTH, Seen
from emoprune.problems.networks.evaluation.objectives.error import Error

__all__ = ["ERROR", "Quality", "says_quality"]


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """A measure that says how good a network is, and what it is called.

    Attributes:
        name: As objectives and columns have it.
        measure: Called with what is seen of one network on one part of the data.
    """

    name: str
    measure: Measure[Seen]

    def of(self, seen: Seen) -> float:
        """Return how good a network is, in natural sign and unit."""
        return number_of(self.name, self.measure, seen)

    def minimised(self, values: FloatArray) -> FloatArray:
        """Turn values of any shape into ones of which less is better; applied twice it gives them back."""
        return as_minimised(values[..., np.newaxis], (Objective(self.name, self.measure.direction),))[..., 0]

    @property
    def better(self) -> str:
        """What a better value is, in a sentence: lower or higher."""
        return "lower" if self.measure.direction is Direction.MINIMISE else "higher"


ERROR = Quality("error", Error())


def says_quality(measure: object) -> bool:
    """Whether a measure says how good a network is: as it has it in `quality`, or else if it needs outputs.

    Raises:
        ContractError: It says something else.
    """
    own = getattr(measure, "quality", getattr(measure, "needs", None) in (OUTPUTS, OUTPUTS_OF_BOTH))
    if not isinstance(own, bool):
        raise ContractError(f"objective: quality: expected true or false, found {own!r}")
    return own
