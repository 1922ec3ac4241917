"""Criteria for transformers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune.problems.networks.criteria.by_name import criterion_named as named_for
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion

__all__ = ["SERVED", "criterion_named"]

SERVED = "heads-and-neurons"


def criterion_named(given: str | Mapping[str, Any]) -> TransformerCriterion:
    """Build a criterion that ranks heads and neurons.

    Raises:
        ConfigError: There is none of that name, its options are wrong, or it ranks other units.
    """
    criterion: TransformerCriterion = named_for(given, SERVED)
    return criterion
