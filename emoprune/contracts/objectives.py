"""Numbers to make better and bounds to keep, in natural signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError

__all__ = ["LARGEST", "Constraint", "Direction", "Objective", "Sense", "as_minimised", "violations"]

FloatArray = NDArray[np.float64]


# The largest magnitude of a number that can be ranked: of two such, differences, squares and the products that a
# hypervolume is made of stay finite. What a problem measures beyond it is a failed evaluation, as an infinity is.
LARGEST = 1e100


class Direction(StrEnum):
    """Whether less or more of an objective is better."""

    MINIMISE = "minimise"
    MAXIMISE = "maximise"


class Sense(StrEnum):
    """On which side of its bound a constraint's value must lie."""

    AT_MOST = "at-most"
    AT_LEAST = "at-least"


@dataclass(frozen=True, slots=True)
class Objective:
    """A number to make better: its name, direction and unit, and optionally the `worst` value worth measuring from.

    `worst` (an error of 1.0, the unpruned cost) becomes this objective's part of the hypervolume's reference point;
    without it the point comes from the references.
    """

    name: str
    direction: Direction = Direction.MINIMISE
    unit: str = ""
    worst: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", Direction(self.direction))
        check_name(self.name)
        if self.worst is not None and not abs(self.worst) <= LARGEST:
            raise ContractError(f"objective {self.name!r}: worst must be within {LARGEST:g}, found {self.worst}")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A number that must stay on one side of a bound, in natural units."""

    name: str
    bound: float
    unit: str = ""
    sense: Sense = Sense.AT_MOST

    def __post_init__(self) -> None:
        object.__setattr__(self, "sense", Sense(self.sense))
        check_name(self.name)
        if not abs(self.bound) <= LARGEST:
            raise ContractError(f"constraint {self.name!r}: the bound must be within {LARGEST:g}, found {self.bound}")


def check_name(name: str) -> None:
    """Refuse a name that cannot stand in a column's title.

    Raises:
        ContractError: It is empty, or holds other characters than letters, digits, - and _.
    """
    if not name or not name.replace("_", "").replace("-", "").isalnum():
        raise ContractError(f"expected a name of letters, digits, - and _, found {name!r}")


def as_minimised(values: FloatArray, objectives: Sequence[Objective]) -> FloatArray:
    """Turn objective values of shape (..., objectives) into ones to minimise; applied twice it gives them back.

    The only place where a sign changes.
    """
    signs = np.array([1.0 if objective.direction is Direction.MINIMISE else -1.0 for objective in objectives])
    return np.asarray(values * signs)


def violations(values: FloatArray, constraints: Sequence[Constraint]) -> FloatArray:
    """Return by how much each constraint is missed, relative to its bound: shape (n, constraints), 0 where it holds.

    At most `LARGEST`, however small the bound is.
    """
    bounds = np.array([constraint.bound for constraint in constraints], dtype=np.float64)
    signs = np.array([1.0 if constraint.sense is Sense.AT_MOST else -1.0 for constraint in constraints])
    scale = np.where(bounds == 0, 1.0, np.abs(bounds))
    with np.errstate(over="ignore"):  # a bound next to nothing
        missed = (values - bounds) * signs / scale
    return np.asarray(np.clip(missed, 0.0, LARGEST))
