"""From one number per channel of each part to one per unit of each coupling group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.coupling.structure import Structure

__all__ = ["averaged", "shares", "units_by_part"]


def units_by_part(
    structure: Structure, channels: Mapping[str, Scores], side: Literal["in", "out"]
) -> list[list[Scores]]:
    """Return for each coupling group one array per part, shape (units,): the means over a unit's channels there.

    `channels` holds by path one number per channel on that side of a part; parts that it does not name, or in which a
    group has no channels, give no array.
    """
    found: list[list[Scores]] = [[] for _ in structure.groups]
    for part in structure.parts:
        wiring = part.incoming if side == "in" else part.outgoing
        if wiring is None or part.path not in channels:
            continue
        for group, coupling in enumerate(structure.groups):
            own = wiring.groups == group
            if own.any():
                totals = np.bincount(wiring.units[own], channels[part.path][own], minlength=coupling.units)
                found[group].append(totals / np.bincount(wiring.units[own], minlength=coupling.units))
    return found


def averaged(parts: Sequence[Scores], units: int) -> Scores:
    """Return the mean over the parts, shape (units,); without any, zeros."""
    return np.mean(parts, axis=0) if len(parts) else np.zeros(units)


def shares(scores: Scores) -> Scores:
    """Return scores of 0 or more as shares of their sum, or as they are if all are zero.

    So a part in which all numbers are large counts no more than another one.
    """
    total = scores.sum()
    return scores / total if total > 0 else scores
