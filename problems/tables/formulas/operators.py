"""The 23 operators of OpenFE in their order, and what each takes and gives.

Source: Zhang, Zhang, Fan, Luo, Liu, Liu, Cao, Jian, OpenFE: Automated Feature Generation with Expert-level Performance,
arXiv:2211.12507.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

__all__ = ["OPERATORS", "Operator", "Takes"]


class Takes(StrEnum):
    """What kind of feature an input must be; an ordinal one is a number and a category."""

    NUMBER = "number"
    CATEGORY = "category"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Operator:
    """What an operator takes, how it is shown, and whether its inputs commute, its output is a category, it learns."""

    takes: tuple[Takes, ...]
    shown: str
    commutes: bool = False
    gives_category: bool = False
    learns: bool = False


_NUMBER, _CATEGORY = Takes.NUMBER, Takes.CATEGORY


def _unary(shown: str) -> Operator:
    return Operator((_NUMBER,), shown)


def _binary(shown: str, *, commutes: bool = True) -> Operator:
    return Operator((_NUMBER, _NUMBER), shown, commutes)


def _grouped(shown: str) -> Operator:
    return Operator((_CATEGORY, _NUMBER), shown, learns=True)


OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        "frequency": Operator((Takes.ANY,), "frequency of {}", learns=True),
        "absolute": _unary("absolute of {}"),
        "logarithm": _unary("logarithm of {}"),
        "square-root": _unary("square root of {}"),
        "square": _unary("square of {}"),
        "sigmoid": _unary("sigmoid of {}"),
        "floor": _unary("floor of {}"),
        "residual": _unary("fraction of {}"),
        "minimum": _binary("minimum of {} and {}"),
        "maximum": _binary("maximum of {} and {}"),
        "add": _binary("{} + {}"),
        # Not commuting, but the other direction only changes the sign, which no learner here minds.
        "subtract": _binary("{} - {}"),
        "multiply": _binary("{} * {}"),
        "divide": _binary("{} / {}", commutes=False),
        "group-minimum": _grouped("minimum by {} of {}"),
        "group-maximum": _grouped("maximum by {} of {}"),
        "group-mean": _grouped("mean by {} of {}"),
        "group-median": _grouped("median by {} of {}"),
        "group-deviation": _grouped("deviation by {} of {}"),
        "group-rank": _grouped("rank by {} of {}"),
        "combine": Operator((_CATEGORY, _CATEGORY), "{} with {}", commutes=True, gives_category=True, learns=True),
        "combined-frequency": Operator((_CATEGORY, _CATEGORY), "frequency of {} with {}", commutes=True, learns=True),
        "group-distinct": Operator((_CATEGORY, _CATEGORY), "distinct by {} of {}", learns=True),
    }
)
