"""From one number per weight to one per unit: sums over all the weights that put a unit's channels out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.coupling.structure import Structure

__all__ = ["outgoing_first", "summed_over_units", "weights_of_parts"]


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
        if part.outgoing is None or part.path not in elements:
            continue
        array = elements[part.path]
        channels = array.reshape(len(array), -1).sum(axis=1)
        for group, total in enumerate(totals):
            own = part.outgoing.groups == group
            np.add.at(total, part.outgoing.units[own], channels[own])
    return totals
