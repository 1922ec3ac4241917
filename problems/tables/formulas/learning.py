"""What operators learn on the training rows: counts, statistics by category, ranks, pairs.

Statistics by category have two more entries, for missing and for unseen. A missing category is a category of its own;
where training rows had none, and for one that was never seen, statistics of numbers are those of all training rows, and
counts are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.features import Values

__all__ = ["learnt_by"]

FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int64]
Learnt = dict[str, NDArray[Any]]


def learnt_by(operator: str, inputs: Sequence[Values]) -> Learnt:
    """Return what an operator learns from its inputs' training rows; nothing for most of them."""
    learn = _LEARNING.get(operator)
    return {} if learn is None else learn(inputs)


def _frequency(inputs: Sequence[Values]) -> Learnt:
    values = inputs[0]
    if values.codes is not None:
        return {"statistics": np.bincount(values.codes, minlength=values.levels + 2).astype(np.float64)}
    numbers = cast("FloatArray", values.numbers)
    known, counts = np.unique(numbers[~np.isnan(numbers)], return_counts=True)
    missing = np.array(float(np.isnan(numbers).sum()))
    return {"values": known, "counts": counts.astype(np.float64), "missing": missing}


def _groups(inputs: Sequence[Values]) -> tuple[FloatArray, CodeArray, CodeArray]:
    """Return the present numbers sorted by category and then by size, with each category's first and last place."""
    codes, numbers = cast("CodeArray", inputs[0].codes), cast("FloatArray", inputs[1].numbers)
    present = ~np.isnan(numbers)
    codes, numbers = codes[present], numbers[present]
    order = np.lexsort((numbers, codes))
    edges = np.searchsorted(codes[order], np.arange(inputs[0].levels + 3))
    return numbers[order], edges[:-1], edges[1:]


def _by_group(one: Callable[[FloatArray, CodeArray, CodeArray], FloatArray]) -> Callable[[Sequence[Values]], Learnt]:
    """Return the learning of a statistic; `one` gets sorted numbers and the places of groups that are not empty."""

    def learn(inputs: Sequence[Values]) -> Learnt:
        values, starts, ends = _groups(inputs)
        statistics = np.full(len(starts), np.nan)
        filled = ends > starts
        if len(values):
            everything = np.sort(values)
            statistics[:] = one(everything, np.array([0]), np.array([len(values)]))[0]
            statistics[filled] = one(values, starts[filled], ends[filled])
        return {"statistics": statistics}

    return learn


def _minimum(values: FloatArray, starts: CodeArray, ends: CodeArray) -> FloatArray:  # noqa: ARG001  # one signature
    return values[starts]


def _maximum(values: FloatArray, starts: CodeArray, ends: CodeArray) -> FloatArray:  # noqa: ARG001  # one signature
    return values[ends - 1]


def _mean(values: FloatArray, starts: CodeArray, ends: CodeArray) -> FloatArray:
    return np.asarray(np.add.reduceat(values, starts) / (ends - starts))


def _median(values: FloatArray, starts: CodeArray, ends: CodeArray) -> FloatArray:
    count = ends - starts
    return np.asarray((values[starts + (count - 1) // 2] + values[starts + count // 2]) / 2)


def _deviation(values: FloatArray, starts: CodeArray, ends: CodeArray) -> FloatArray:
    """Return the sample deviation; NaN, as in pandas, for a group of one."""
    count = ends - starts
    centred = values - np.repeat(_mean(values, starts, ends), count)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(np.add.reduceat(centred**2, starts) / (count - 1)))


def _rank(inputs: Sequence[Values]) -> Learnt:
    values, starts, ends = _groups(inputs)
    empty = starts == ends
    everything = len(values) + len(values)
    return {
        "values": np.concatenate([values, np.sort(values)]),
        "starts": np.where(empty, len(values), starts),
        "ends": np.where(empty, everything, ends),
    }


def _joint(inputs: Sequence[Values]) -> tuple[CodeArray, CodeArray, int]:
    left, right = cast("CodeArray", inputs[0].codes), cast("CodeArray", inputs[1].codes)
    width = inputs[1].levels + 2
    pairs, counts = np.unique(left * width + right, return_counts=True)
    return pairs, counts, width


def _combine(inputs: Sequence[Values]) -> Learnt:
    pairs, _, width = _joint(inputs)
    return {"pairs": pairs, "width": np.array(width)}


def _combined_frequency(inputs: Sequence[Values]) -> Learnt:
    pairs, counts, width = _joint(inputs)
    statistics = np.concatenate([counts, [0, 0]]).astype(np.float64)  # no pair is missing; unseen ones count 0
    return {"pairs": pairs, "width": np.array(width), "statistics": statistics}


def _distinct(inputs: Sequence[Values]) -> Learnt:
    """Count, for each category, the categories of the other column that occur with it; missing does not count."""
    pairs, _, width = _joint(inputs)
    left, right = np.divmod(pairs, width)
    counted = left[right < inputs[1].levels]
    return {"statistics": np.bincount(counted, minlength=inputs[0].levels + 2).astype(np.float64)}


_LEARNING: Mapping[str, Callable[[Sequence[Values]], Learnt]] = MappingProxyType(
    {
        "frequency": _frequency,
        "group-minimum": _by_group(_minimum),
        "group-maximum": _by_group(_maximum),
        "group-mean": _by_group(_mean),
        "group-median": _by_group(_median),
        "group-deviation": _by_group(_deviation),
        "group-rank": _rank,
        "combine": _combine,
        "combined-frequency": _combined_frequency,
        "group-distinct": _distinct,
    }
)
