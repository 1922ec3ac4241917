"""What a criterion says of each group of units, held against what it promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Scores

__all__ = ["group_scores"]

Seen = TypeVar("Seen")


def group_scores(criterion: Callable[[Seen], Sequence[Scores]], evidence: Seen, units: Sequence[int]) -> list[Scores]:
    """Return one finite score in 64 bits for each unit of each group.

    Args:
        criterion: Asked once.
        evidence: What it looks at.
        units: How many there are in each group.

    Raises:
        ContractError: It returns something else; the message names the criterion and the group.
    """
    who = f"criterion {getattr(criterion, '__name__', type(criterion).__name__)!r}"
    found: object = criterion(evidence)
    if not isinstance(found, Sequence) or len(found) != len(units):
        told = f"{len(found)} of them" if isinstance(found, Sequence) else type(found).__name__
        raise ContractError(f"{who}: expected scores of {len(units)} groups of units, found {told}")
    return [
        _checked(own, size, f"{who}: group {number}")
        for number, (own, size) in enumerate(zip(found, units, strict=True))
    ]


def _checked(scores: object, size: int, who: str) -> Scores:
    try:
        plain = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor that wants gradients raises the last
        raise ContractError(f"{who}: expected an array of numbers, found {type(scores).__name__}: {error}") from error
    if plain.shape != (size,):
        raise ContractError(f"{who}: expected a score for each of its {size} units, found shape {plain.shape}")
    broken = int((~np.isfinite(plain)).sum())
    if broken:
        raise ContractError(f"{who}: expected finite scores, found {broken} of {size} that are not")
    return plain
