"""Units ranked by when they are merged away into others that are like them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.coupling.structure import CouplingGroup, Part
from emoprune.problems.networks.criteria.per_unit import weights_of_parts

__all__ = ["KMeans", "heights_of_merging"]

FloatArray = NDArray[np.float64]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="a clustering of each group's units",
    papers=[Paper("Methods for Pruning Deep Neural Networks", "2011.00241")],
)
class KMeans:
    """The distance at which a unit is merged into a cluster that another unit stands for.

    Units are points: the filters that put them out, each of norm 1, one behind the other for all producers. For k-means
    with every number of clusters at once, nested as a ranking must be, the clusters are merged two by two, always those
    that raise the k-means objective least (Ward's method). Of the two units that stand for them, the one nearer to the
    merged cluster's mean stays, or of two equally near ones the one nearer to the mean of all, or of larger norm; the
    other is scored with the height of the merger. So the k best units of a group each stand for one of k clusters.
    Units whose filters are 0 come last. The compensation `merge` hands over what the removed ones had to say.

    After the clustering criteria in Vadera and Ameen, Methods for Pruning Deep Neural Networks, arXiv 2011.00241.
    """

    leaf: ClassVar[str] = "filter ranking/weight correlation"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the heights at which units are merged away; the last one's is above all others."""
        weights = weights_of_parts(evidence)
        return [
            _scores([_filters(part, number, group, weights[part.path]) for part in _producers(evidence, number)])
            for number, group in enumerate(evidence.structure.groups)
        ]


def _producers(evidence: Evidence, number: int) -> list[Part]:
    return [
        part
        for part in evidence.structure.weighted
        if part.outgoing is not None and (part.outgoing.groups == number).any()
    ]


def _filters(part: Part, number: int, group: CouplingGroup, weight: FloatArray) -> FloatArray:
    """Return the part's weights that put each unit of a coupling group out, shape (units, weights)."""
    assert part.outgoing is not None  # noqa: S101  # true of every producer; narrows the type
    own = np.flatnonzero(part.outgoing.groups == number)
    in_order = own[np.argsort(part.outgoing.units[own], kind="stable")]
    return weight[in_order].reshape(group.units, -1)


def _scores(filters: list[FloatArray]) -> Scores:
    norms = np.stack([np.linalg.norm(own, axis=1) for own in filters])
    scores = np.zeros(norms.shape[1])
    live = np.flatnonzero(norms.sum(axis=0) > 0)
    directions = [
        own[live] / np.where(norm > 0, norm, 1.0)[live, None] for own, norm in zip(filters, norms, strict=True)
    ]
    scores[live] = heights_of_merging(np.concatenate(directions, axis=1), norms.sum(axis=0)[live])
    return scores


def heights_of_merging(points: FloatArray, norms: FloatArray) -> Scores:
    """Return at which height each point stops standing for its cluster, shape (points,).

    Args:
        points: Shape (points, dimensions).
        norms: Of two points that are equally near to the means, the one with the larger of these stays.
    """
    from scipy.cluster.hierarchy import ward

    if len(points) < 2:
        return np.ones(len(points))
    heights = np.zeros(len(points))
    standing, sums, counts = list(range(len(points))), list(points), [1] * len(points)
    mergers = ward(points)
    for left, right, height, count in mergers.tolist():
        one, other = int(left), int(right)
        total = sums[one] + sums[other]
        gone, stays = sorted(
            (standing[one], standing[other]), key=lambda unit: _worth(unit, points, norms, total / count)
        )
        heights[gone] = height
        standing.append(stays)
        sums.append(total)
        counts.append(int(count))
    heights[standing[-1]] = 2 * max(mergers[-1, 2], 1e-300)
    return heights


def _worth(unit: int, points: FloatArray, norms: FloatArray, mean: FloatArray) -> tuple[float, float, float, int]:
    """Say how well a unit stands for a cluster; rounded, so that equal distances compare as equal."""
    near, middle = (-round(float(np.linalg.norm(points[unit] - centre)), 9) for centre in (mean, points.mean(axis=0)))
    return near, middle, float(norms[unit]), -unit
