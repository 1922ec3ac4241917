"""Pure functions on arrays of objectives to minimise: non-dominated set, hypervolume, reference point, knee.

Exact dominance and hypervolume come from moocore.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError

__all__ = ["attainment", "crowding", "depths", "hypervolume", "knee", "non_dominated", "reference_point"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def non_dominated(values: FloatArray) -> BoolArray:
    """Say which rows of `values`, shape (n, objectives), no other row dominates; of equal rows the first counts.

    Raises:
        ContractError: A value is not finite: a failed evaluation must be left out before ranking.
    """
    _check_finite(values)
    if len(values) == 0:
        return np.zeros(0, dtype=np.bool_)
    if values.shape[1] == 1:  # moocore starts at two objectives
        first = np.zeros(len(values), dtype=np.bool_)
        first[np.argmin(values[:, 0])] = True
        return first
    return np.asarray(moocore.is_nondominated(values, keep_weakly=False), dtype=np.bool_)


def depths(values: FloatArray) -> NDArray[np.int64]:
    """Return how deep each row of `values`, shape (n, objectives), lies: 0 on the front, 1 right behind it, and on."""
    _check_finite(values)
    if len(values) == 0:
        return np.zeros(0, dtype=np.int64)
    # A constant second column changes no dominance; moocore starts at two objectives.
    padded = values if values.shape[1] > 1 else np.pad(values, ((0, 0), (0, 1)))
    return np.asarray(moocore.pareto_rank(padded), dtype=np.int64)


def hypervolume(values: FloatArray, point: FloatArray) -> float:
    """Return the exact hypervolume dominated by `values`, shape (n, objectives), up to the reference `point`.

    Rows that do not lie below the point in every objective add nothing; without any such row the result is 0. A volume
    beyond all floats, of many objectives with huge numbers, is given as the largest float.
    """
    _check_finite(values)
    inside = values[(values < point).all(axis=1)]
    if len(inside) == 0:
        return 0.0
    if values.shape[1] == 1:
        return float(point[0] - inside.min())
    volume = float(moocore.hypervolume(inside, ref=point))
    return volume if math.isfinite(volume) else sys.float_info.max


def reference_point(references: FloatArray, first: FloatArray, margin: float = 0.1) -> FloatArray:
    """Return a point that is worse than every reference by `margin` of the references' spread.

    Where all references agree in an objective, `first` (generation 0, shape (n, objectives)) gives the spread.
    """
    source = references if len(references) else first
    low, high = source.min(axis=0), source.max(axis=0)
    flat = high == low
    high = np.where(flat, np.maximum(high, first.max(axis=0)), high)
    low = np.where(flat, np.minimum(low, first.min(axis=0)), low)
    spread = np.where(high > low, high - low, np.where(high == 0, 1.0, np.abs(high)))
    return np.asarray(high + margin * spread, dtype=np.float64)


def crowding(values: FloatArray) -> FloatArray:
    """Return how far the neighbours of each row of a front, shape (n, objectives), are apart; infinite at the ends.

    The distances are summed over the objectives, each in parts of the front's range.
    Source: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002.
    """
    _check_finite(values)
    low, high = values.min(axis=0, initial=np.inf), values.max(axis=0, initial=-np.inf)
    order = np.argsort(values, axis=0, kind="stable")
    gaps = np.full(values.shape, np.inf)
    ordered = np.take_along_axis(values, order, axis=0)
    width = np.where(high > low, high - low, 1.0)
    np.put_along_axis(gaps, order[1:-1], (ordered[2:] - ordered[:-2]) / width, axis=0)
    return np.asarray(gaps.sum(axis=1))


def attainment(fronts: Sequence[FloatArray], shares: Sequence[float]) -> list[FloatArray]:
    """Return what a share of several fronts attains, for each share from 0 (one of them) to 1 (all of them).

    Each front has the shape (n, objectives), with two or three objectives; so has each surface, its points in order.
    Source: Fonseca, Guerreiro, Lopez-Ibanez and Paquete, On the computation of the empirical attainment function, 2011.
    """
    for values in fronts:
        _check_finite(values)
    points, sets = np.concatenate(fronts), np.repeat(np.arange(len(fronts)) + 1, [len(each) for each in fronts])
    percents = [100 * max(1, math.ceil(share * len(fronts))) / len(fronts) for share in shares]
    found = moocore.eaf(points, sets, percentiles=sorted(set(percents)))
    surfaces = [found[np.isclose(found[:, -1], percent), :-1] for percent in percents]
    return [surface[np.lexsort(surface.T[::-1])] for surface in surfaces]


def knee(values: FloatArray) -> int:
    """Return the row of a front, shape (n, objectives), that bulges furthest from the plane through its extremes.

    Objectives are scaled to the front's own range first, so the plane is their sum. Ties go to the first row.
    Source: Das, On characterizing the 'knee' of the Pareto curve based on normal-boundary intersection, 1999.
    """
    _check_finite(values)
    if len(values) == 0:
        raise ContractError("knee: expected a front of at least one row, found none")
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmin(scaled.sum(axis=1)))


def _check_finite(values: FloatArray) -> None:
    if values.ndim != 2:
        raise ContractError(f"objectives: expected shape (n, objectives), found {values.shape}")
    if not np.isfinite(values).all():
        raise ContractError("objectives: NaN and infinities cannot be ranked; leave failed evaluations out")
