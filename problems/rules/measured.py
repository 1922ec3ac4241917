"""What measures see of a set of rules, and the measures that come with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from emoprune.contracts import Direction, Paper, about
from emoprune.problems.rules.standalone.fold import IntArray, Trusted, literals_in

__all__ = ["CONFOLD", "InverseBrier", "Literals", "RuleCount", "Seen", "Uncovered"]

CONFOLD = Paper("CON-FOLD: Explainable Machine Learning with Confidence", "2408.07854")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Rules with their confidences, and some rows that they were put to.

    Attributes:
        trusted: The rules that stay.
        first: The place of the rule that each row falls to, the number of rules where none covers it, shape (rows,).
        labels: The rows' classes, shape (rows,).
    """

    trusted: Trusted
    first: IntArray
    labels: IntArray


@about("measurement", ["rules"], serves=["rules"], cost="one pass over the rows", papers=[CONFOLD])
class InverseBrier:
    """How far predictions with confidences are right: 1 - (1 - p)^2 where the class is, 1 - p^2 where it is not.

    With all confidences at 1 it is the accuracy.
    """

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MAXIMISE
    worst: ClassVar[float] = 0.0

    def __call__(self, seen: Seen) -> float:
        """Return the mean over the rows."""
        sure = seen.trusted.confidences[seen.first]
        right = seen.trusted.labels[seen.first] == seen.labels
        return float(np.mean(1 - np.square(np.where(right, 1 - sure, sure))))


@about("measurement", ["rules"], serves=["rules"], cost="a count; nothing is run")
class Literals:
    """How many comparisons a person has to read, in rules and exceptions together."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(literals_in(seen.trusted.rules))


@about("measurement", ["rules"], serves=["rules"], cost="a count; nothing is run")
class RuleCount:
    """How many rules there are, without their exceptions."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    noisy: ClassVar[bool] = False

    def __call__(self, seen: Seen) -> float:
        """Return the count."""
        return float(len(seen.trusted.rules))


@about("measurement", ["rules"], serves=["rules"], cost="one pass over the rows")
class Uncovered:
    """The share of rows that no rule covers, which get the most frequent class of such rows."""

    unit: ClassVar[str] = ""
    direction: ClassVar[Direction] = Direction.MINIMISE
    worst: ClassVar[float] = 1.0

    def __call__(self, seen: Seen) -> float:
        """Return the share."""
        return float(np.mean(seen.first == len(seen.trusted.rules)))
