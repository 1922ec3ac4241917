"""Units ranked by how long they stay when layers are asked to do with ever fewer inputs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.filters import as_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.moments import (
    Moments,
    mean_squares,
    patch_moments,
    width_of_filters,
)
from emoprune.problems.networks.coupling.structure import FIXED, Part
from emoprune.space import IntArray

__all__ = ["Lasso", "entering"]

FloatArray = NDArray[np.float64]

_RIDGE = 1e-4  # as a share of each input's mean square
_EQUAL = 1e-6  # how far from 1 the correlation of two contributions may be that are the same one


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the calibration images, and a path of the lasso for each layer",
    papers=[Paper("Channel Pruning for Accelerating Very Deep Neural Networks", "1707.06168")],
)
class Lasso:
    """The penalty up to which the layers that read a unit still want it.

    Every layer's output is written as a sum over its input units, each times a factor b: min 1/2 E|Y - sum b_i Z_i|^2 +
    penalty sum |b_i|, where Z_i is what unit i contributes to the unpruned output Y on calibration images. Of all
    weights with that output the smallest are taken first, which split evenly what inputs have in common: only then do
    duplicated inputs contribute the same, whatever a layer made of each, and one of them can stand for all. As the
    penalty falls, units enter one by one: the path of one lasso orders the units for all widths at once. A unit's score
    in a layer is the penalty at which it enters, as a share of the one at which the first does; units that never enter,
    such as duplicates, come behind, ordered by their contribution. A group that several layers read gets the mean of
    their scores; a layer that reads several groups is solved for all of them together, and inputs that cannot be
    pruned always stay in.

    Filters of more than `most_weights` weights, and transposed convolutions, count as if their inputs were not
    correlated: a unit enters at its own contribution's mean square. Depthwise convolutions choose nothing: what they
    read goes together with what they put out.

    Source: He, Zhang and Sun, Channel Pruning for Accelerating Very Deep Neural Networks, arXiv 1707.06168. There the
    lasso of a layer is solved for one width, on inputs that earlier layers' pruning has already changed.

    Args:
        rows_per_weight: How many places are sampled for each weight of a filter, as far as the images have them.
        most_weights: The most weights of a filter whose correlations are taken into account.
    """

    leaf: ClassVar[str] = "filter ranking/activation of the next layer"

    def __init__(self, *, rows_per_weight: float = 4.0, most_weights: int = 4608) -> None:
        if not (math.isfinite(rows_per_weight) and rows_per_weight > 0):
            raise ConfigError(f"rows_per_weight: expected a positive number, found {rows_per_weight}")
        self._rows_per_weight = rows_per_weight
        self._most_weights = most_weights

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the mean over the layers that read a unit of the penalty at which it enters."""
        totals = [np.zeros(group.units) for group in evidence.structure.groups]
        layers = [0] * len(totals)
        for part, scores in self._layers(evidence):
            groups, units = _read_units(part)
            for group in np.unique(groups).tolist():
                totals[group][units[groups == group]] += scores[groups == group]
                layers[group] += 1
        return [total / max(1, count) for total, count in zip(totals, layers, strict=True)]

    def _layers(self, evidence: Evidence) -> Iterator[tuple[Part, Scores]]:
        """Yield each layer with the scores of the units it reads, in the order of `_read_units`."""
        parts = readers(evidence.structure)
        solved = [part for part in parts if self._solvable(part)]
        filters = {part.path: as_filters(part, evidence.network.get_parameter(f"{part.path}.weight")) for part in parts}
        for part, moments in patch_moments(evidence, solved, self._rows_per_weight):
            even = _evened(filters[part.path], moments)
            yield part, entering(_products(part, even, moments))
        for part, squares in mean_squares(evidence, [part for part in parts if part not in solved]):
            yield part, _uncorrelated(part, filters[part.path], squares)

    def _solvable(self, part: Part) -> bool:
        return width_of_filters(part) <= self._most_weights and not part.kind.startswith("ConvTranspose")


def entering(products: FloatArray) -> Scores:
    """Return the penalty at which each variable enters the lasso's path, as a share of the first one's, (variables,).

    Those that never enter get less than any that does.

    Args:
        products: E<Z_i, Z_j> of the variables, whose sum is what they are to reproduce; (variables, variables).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lars_path_gram

    own = np.diagonal(products)
    target = products.sum(axis=1)
    largest = np.abs(target).max()
    different = _different(products)
    if largest <= 0 or not different.size:
        return np.zeros(len(target))
    among = products[different[:, np.newaxis], different] / largest
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it drops variables that others already stand for: wanted
        penalties, _, path = lars_path_gram(
            target[different] / largest, among, n_samples=1, method="lasso", max_iter=8 * len(different)
        )
    enters = path != 0
    steps = np.maximum(np.argmax(enters, axis=1) - 1, 0)  # a variable is not 0 from the step after it entered on
    entered = different[enters.any(axis=1)]
    scores = np.zeros(len(target))
    scores[entered] = np.maximum(penalties[steps], 1e-12)[enters.any(axis=1)]
    behind = 0.5 * scores[entered].min(initial=1.0) * own / own.max()
    return np.asarray(np.where(scores > 0, scores, behind), dtype=np.float64)


def _different(products: FloatArray) -> IntArray:
    """Return the variables that are neither 0 nor a multiple of a larger one: of those the path would take any."""
    own = np.diagonal(products)
    order = np.argsort(-own, kind="stable")
    order = order[own[order] > 1e-12 * max(own.max(), 1e-300)]
    sizes = np.sqrt(own[order])
    alike = np.abs(products[order[:, np.newaxis], order] / (sizes[:, np.newaxis] * sizes)) > 1 - _EQUAL
    repeated = np.triu(alike, k=1).any(axis=0)
    return np.asarray(np.sort(order[~repeated]), dtype=np.int64)


def _read_units(part: Part) -> tuple[IntArray, IntArray]:
    """Return the coupling group and the unit of every unit that can be pruned and lies on the part's inputs."""
    assert part.incoming is not None  # noqa: S101  # true of everything that `readers` returns; narrows the type
    pairs = np.stack([part.incoming.groups, part.incoming.units], axis=1)
    prunable = np.unique(pairs[part.incoming.groups != FIXED], axis=0)
    return prunable[:, 0], prunable[:, 1]


def _membership(part: Part) -> FloatArray:
    """Return 1 where an input channel belongs to a unit, shape (channels, units); units as in `_read_units`."""
    assert part.incoming is not None  # noqa: S101  # as above
    groups, units = _read_units(part)
    same = (part.incoming.groups[:, np.newaxis] == groups) & (part.incoming.units[:, np.newaxis] == units)
    return np.asarray(same, dtype=np.float64)


def _evened(filters: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Return the smallest weights with the same outputs on the patches, up to a ridge; in the shape of `filters`."""
    among = torch.from_numpy(moments[:, :-1, :-1].copy())
    wanted = filters.flatten(2) @ among
    diagonal = among.diagonal(dim1=1, dim2=2)  # a view: what is added to it is added to `among`
    diagonal += (_RIDGE * diagonal).clamp_min(1e-30)
    solved = torch.cholesky_solve(wanted.transpose(1, 2), torch.linalg.cholesky(among))
    return solved.transpose(1, 2).reshape(filters.shape)


def _products(part: Part, filters: torch.Tensor, moments: Moments) -> FloatArray:
    """Return E<Z_i, Z_j> of the units' contributions, shape (units, units), from the moments of the patches."""
    flat = filters.flatten(2)
    weighted = (flat.transpose(1, 2) @ flat) * torch.from_numpy(moments[:, :-1, :-1])
    groups, _, channels, taps = filters.shape
    own = weighted.reshape(groups, channels, taps, channels, taps).sum(dim=(2, 4)).numpy()
    # Convolution groups have no output in common, so their contributions have no product.
    among = np.zeros((groups, channels, groups, channels))
    among[np.arange(groups), :, np.arange(groups)] = own
    members = _membership(part)
    return np.asarray(members.T @ among.reshape(groups * channels, -1) @ members, dtype=np.float64)


def _uncorrelated(part: Part, filters: torch.Tensor, squares: FloatArray) -> Scores:
    """Return the scores if no two inputs of the layer were correlated."""
    weights = filters.square().sum(dim=(1, 3)).flatten().numpy()
    contributions = (squares * weights) @ _membership(part)
    return np.asarray(contributions / max(contributions.max(), 1e-300), dtype=np.float64)
