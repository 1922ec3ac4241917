"""What a criterion promises."""

from __future__ import annotations

from typing import ClassVar, Protocol

from emoprune.problems.networks.calibration.evidence import Evidence, Scores

__all__ = ["Criterion"]


class Criterion(Protocol):
    """Says which units of each coupling group matter most; computed once per run and shared by every genome."""

    leaf: ClassVar[str]  # its place in the taxonomy of the surveys, as in `taxonomy.py`
    # `about` says which problems' units it ranks. One that does not say what it is may have them in a class attribute
    # `serves`, and ranks `channels` without it.

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return one finite score per unit for each coupling group, the larger the more it is worth keeping."""
        ...
