"""Units ranked by how badly the others could stand in for them: those amid all others go first."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.criteria.per_unit import weights_of_parts

__all__ = ["GeometricMedian", "removal_heights"]

FloatArray = NDArray[np.float64]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="distances between all units of a group",
    papers=[
        Paper("Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration", "1811.00250")
    ],
)
class GeometricMedian:
    """Mean distance of a unit's filters from all others still there; a duplicate far from the rest is not found.

    The unit nearest to all others goes first, then the distances count only from those that stay: of two equal units
    amid the rest one goes early, and the other one, which then is needed, does not follow for its sake. Distances are
    Euclidean, per part that puts the channels out, divided by that part's mean distance, and averaged over the parts.
    Source: 'Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration', 1811.00250, which
    measures all distances once; `one_by_one=False` does so.
    """

    leaf: ClassVar[str] = "filter ranking/weight correlation"

    def __init__(self, *, one_by_one: bool = True) -> None:
        self._one_by_one = one_by_one

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return relative mean distances; 1 is the mean distance between two units."""
        found = []
        for distances in _distances(evidence):
            others = max(1, len(distances) - 1)
            found.append(removal_heights(distances) if self._one_by_one else distances.sum(axis=1) / others)
        return found


def _distances(evidence: Evidence) -> list[FloatArray]:
    """Return for each coupling group the distances between its units, shape (units, units)."""
    weights = weights_of_parts(evidence)
    totals = [np.zeros((units, units)) for units in evidence.structure.units]
    counts = [0] * len(totals)
    for part in evidence.structure.weighted:
        if part.outgoing is None:
            continue
        for group, units in enumerate(evidence.structure.units):
            own = np.flatnonzero(part.outgoing.groups == group)
            if len(own):
                # By unit, and a unit's channels in their order: every unit has as many of them as the others.
                channels = own[np.argsort(part.outgoing.units[own], kind="stable")]
                totals[group] += _relative_distances(weights[part.path][channels].reshape(units, -1))
                counts[group] += 1
    return [total / max(1, count) for total, count in zip(totals, counts, strict=True)]


def _relative_distances(filters: FloatArray) -> FloatArray:
    """Return the distances between rows divided by the mean over all pairs; zeros if all rows are equal."""
    points = torch.from_numpy(np.ascontiguousarray(filters))
    # Through the differences themselves: by products the distance of equal rows would not be exactly zero.
    found: FloatArray = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    pairs = len(found) * (len(found) - 1)
    total = found.sum()
    return found * (pairs / total) if total > 0 else found


def removal_heights(distances: FloatArray) -> Scores:
    """Return for each point the mean distance from those still there when it was the nearest to them, shape (n,).

    `distances` is symmetric, shape (n, n). Never less than for a point that went before, so that the order of the
    results is the order of going.
    """
    count = len(distances)
    heights = np.zeros(count)
    there = np.ones(count, dtype=bool)
    sums = distances.sum(axis=1)
    height = 0.0
    for left in range(count - 1, 0, -1):
        first = int(np.argmin(np.where(there, sums, np.inf)))
        height = max(np.nextafter(height, np.inf), float(sums[first]) / left)
        heights[first] = height
        there[first] = False
        sums = sums - distances[first]
    heights[there] = np.nextafter(height, np.inf)
    return heights
