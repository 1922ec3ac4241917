"""From one number per channel, or per weight, to one per unit of each coupling group: means and sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.coupling.structure import Structure

__all__ = ["averaged", "outgoing_first", "shares", "summed_over_units", "units_by_part", "weights_of_parts"]


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


def weights_of_parts(evidence: Evidence) -> dict[str, NDArray[np.float64]]:
    """Return the weights of convolutions and linear layers by path, outgoing channels on the first axis, in 64 bits."""
    found = {}
    for part in evidence.structure.weighted:
        weight = evidence.network.get_parameter(f"{part.path}.weight").detach()
        found[part.path] = outgoing_first(part.kind, weight.cpu().double().numpy())
    return found


def outgoing_first(kind: str, array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an array in a weight's shape with the outgoing channels on its first axis."""
    return np.swapaxes(array, 0, 1) if kind.startswith("ConvTranspose") else array


def summed_over_units(structure: Structure, elements: Mapping[str, NDArray[np.float64]]) -> list[Scores]:
    """Return for each coupling group the sum over its producers' elements of each unit, shape (units,).

    `elements` holds by path arrays with the outgoing channels on the first axis. Summed in 64 bits, so that the ranking
    does not depend on the order of summation.
    """
    totals = [np.zeros(group.units) for group in structure.groups]
    for part in structure.weighted:
        if part.outgoing is None or not part.outgoing.varies or part.path not in elements:
            continue  # of what stays whole no layout is asked
        array = elements[part.path]
        channels = array.reshape(len(array), -1).sum(axis=1)
        for group, total in enumerate(totals):
            own = part.outgoing.groups == group
            np.add.at(total, part.outgoing.units[own], channels[own])
    return totals
