"""Compute features from their formulas; needs numpy, nothing else.

from features import load_features
inputs = load_features().transform(frame)  # a pandas or polars frame, or a mapping of names to arrays

A category's code counts from 0 in the order of the column's categories; missing has the code after the last one, and a
category that was never seen the code after that. What was learnt on the training rows is read, never learnt again, so a
single row gets the same features alone as among others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
FORMAT = "emoprune.features/1"
DAY = np.timedelta64(1, "D")

FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int64]
Learnt = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One column or feature, row by row: as numbers, as codes of categories, or (ordinal columns) as both.

    `levels` counts the categories without the two codes for missing and unseen.
    """

    numbers: FloatArray | None
    codes: CodeArray | None = None
    levels: int = 0

    def as_input(self) -> FloatArray:
        """Return what a model is given: the numbers, or the codes with NaN where the category is missing or unseen."""
        if self.numbers is not None:
            return self.numbers
        assert self.codes is not None  # noqa: S101  # the one or the other is there
        return np.where(self.codes < self.levels, self.codes, np.nan)

    def taken(self, rows: NDArray[Any]) -> Values:
        """Return only some rows."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return Values(numbers, None if self.codes is None else self.codes[rows], self.levels)


def plain(column: Any) -> NDArray[Any]:
    """Return a column as float64 with NaN for missing, dates as days since 1970; or as objects, texts and None."""
    array = _to_numpy(column) if hasattr(column, "to_numpy") else np.asarray(column)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind in "mM":
        days = (array if array.dtype.kind == "m" else array - np.datetime64(0, "D")) / DAY
        return np.where(np.isnat(array), np.nan, days).astype(np.float64)
    return _plain_objects(array)


def _to_numpy(column: Any) -> NDArray[Any]:
    dtype = str(getattr(column, "dtype", ""))
    if dtype.startswith(("Int", "UInt", "Float", "boolean", "Boolean")) and hasattr(column, "isna"):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    if dtype.startswith("datetime64[") and "," in dtype:  # pandas with a time zone
        return np.asarray(column.dt.tz_convert(None).to_numpy())
    return np.asarray(column.to_numpy())


def _plain_objects(array: NDArray[Any]) -> NDArray[Any]:
    """Return floats where every object is a number or missing, and otherwise texts with None for missing."""
    if array.dtype.kind in "US":
        return array.astype(object)
    missing = np.fromiter((_is_missing(value) for value in array), bool, len(array))
    present = array[~missing]
    if all(isinstance(value, int | float | np.number | np.bool_) for value in present):
        numbers = np.full(len(array), np.nan)
        numbers[~missing] = present.astype(np.float64)
        return numbers
    texts = np.full(len(array), None, dtype=object)
    texts[~missing] = [str(value) for value in present]
    return texts


def _is_missing(value: object) -> bool:
    return value is None or value != value or str(value) in ("NaT", "<NA>")  # noqa: PLR0124  # NaN is not itself


def coded(array: NDArray[Any], categories: Sequence[str] | Sequence[float]) -> CodeArray:
    """Return the codes of a plain column's values among `categories`, which are sorted and all texts or all numbers."""
    count = len(categories)
    of_numbers = count > 0 and not isinstance(categories[0], str)
    if array.dtype.kind == "f" and not of_numbers:
        array = np.array([None if np.isnan(value) else f"{value:.15g}" for value in array], dtype=object)
    if of_numbers and array.dtype.kind != "f":
        array = np.array([_as_number(value) for value in array])
    missing = np.isnan(array) if of_numbers else np.fromiter((value is None for value in array), bool, len(array))
    codes = np.full(len(array), count, dtype=np.int64)
    present = array[~missing] if of_numbers else array[~missing].astype(str)
    known = np.asarray(categories, dtype=np.float64 if of_numbers else str)
    place = np.searchsorted(known, present)
    inside = np.minimum(place, max(count - 1, 0))
    found = known[inside] == present if count else np.zeros(len(present), bool)
    codes[~missing] = np.where(found, inside, count + 1)
    return codes


def _as_number(value: object) -> float:
    try:
        return float("nan" if value is None else str(value))
    except ValueError:
        return np.inf  # a text among numbers is a category that was never seen


def encoded(column: Mapping[str, Any], array: NDArray[Any]) -> Values:
    """Return a plain column as its record in features.json says.

    Raises:
        ValueError: A numerical column holds texts or infinite values.
    """
    kind, categories = column["kind"], column.get("categories", ())
    if kind == "categorical":
        return Values(None, coded(array, categories), len(categories))
    if array.dtype.kind != "f":
        raise ValueError(f"column {column['name']!r}: expected numbers, found texts such as {_example(array)!r}")
    if np.isinf(array).any():
        raise ValueError(f"column {column['name']!r}: expected finite or missing values, found infinite ones")
    if kind == "ordinal":
        return Values(array, coded(array, categories), len(categories))
    return Values(array)


def _example(array: NDArray[Any]) -> object:
    return next((value for value in array if value is not None), None)


def _numbers(function: Callable[..., FloatArray]) -> Callable[[Sequence[Values], Learnt], Values]:
    """Return the operator of a function of numbers; what is not finite becomes missing."""

    def applied(inputs: Sequence[Values], learnt: Learnt) -> Values:  # noqa: ARG001  # nothing is learnt
        with np.errstate(all="ignore"):
            result = function(*(each.numbers for each in inputs))
        return Values(np.where(np.isfinite(result), result, np.nan))

    return applied


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def _divide(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.asarray(x / np.where(y == 0, np.nan, y))


def _log(x: FloatArray) -> FloatArray:
    return np.asarray(np.log(np.where(x == 0, np.nan, np.abs(x))))


def _by_code(inputs: Sequence[Values], learnt: Learnt) -> Values:
    return Values(learnt["statistics"][inputs[0].codes])


def _frequency(inputs: Sequence[Values], learnt: Learnt) -> Values:
    numbers = inputs[0].numbers
    if "statistics" in learnt:
        return _by_code(inputs, learnt)
    assert numbers is not None  # noqa: S101  # a column without codes has numbers
    known = learnt["values"]
    place = np.minimum(np.searchsorted(known, numbers), max(len(known) - 1, 0))
    counts = np.where(known[place] == numbers, learnt["counts"][place], 0.0) if len(known) else np.zeros(len(numbers))
    return Values(np.where(np.isnan(numbers), learnt["missing"], counts))


def _rank(inputs: Sequence[Values], learnt: Learnt) -> Values:
    """Return the share of the category's training rows that lie below, ties and the value itself counted half."""
    codes, numbers = inputs[0].codes, inputs[1].numbers
    assert codes is not None  # noqa: S101  # the first input is a category
    assert numbers is not None  # noqa: S101  # the second one is a number
    ranks = np.full(len(numbers), np.nan)
    for code in np.unique(codes):
        rows = np.flatnonzero((codes == code) & ~np.isnan(numbers))
        own = learnt["values"][learnt["starts"][code] : learnt["ends"][code]]
        below, upto = (np.searchsorted(own, numbers[rows], side) for side in ("left", "right"))
        ranks[rows] = np.minimum((below + upto + 1) / (2 * max(len(own), 1)), 1.0)
    return Values(ranks)


def _pairs(inputs: Sequence[Values], learnt: Learnt) -> CodeArray:
    left, right, known = inputs[0].codes, inputs[1].codes, learnt["pairs"]
    assert left is not None  # noqa: S101  # both inputs are categories
    assert right is not None  # noqa: S101
    joint = left * int(learnt["width"]) + right
    place = np.minimum(np.searchsorted(known, joint), len(known) - 1)
    return np.where(known[place] == joint, place, len(known) + 1)


def _combine(inputs: Sequence[Values], learnt: Learnt) -> Values:
    return Values(None, _pairs(inputs, learnt), len(learnt["pairs"]))


def _combined_frequency(inputs: Sequence[Values], learnt: Learnt) -> Values:
    return Values(learnt["statistics"][_pairs(inputs, learnt)])


OPERATORS: Mapping[str, Callable[[Sequence[Values], Learnt], Values]] = {
    "frequency": _frequency,
    "absolute": _numbers(np.abs),
    "logarithm": _numbers(_log),
    "square-root": _numbers(lambda x: np.sqrt(np.abs(x))),
    "square": _numbers(np.square),
    "sigmoid": _numbers(_sigmoid),
    "floor": _numbers(np.floor),
    "residual": _numbers(lambda x: x - np.floor(x)),
    "minimum": _numbers(np.minimum),
    "maximum": _numbers(np.maximum),
    "add": _numbers(np.add),
    "subtract": _numbers(np.subtract),
    "multiply": _numbers(np.multiply),
    "divide": _numbers(_divide),
    **dict.fromkeys(("group-minimum", "group-maximum", "group-mean", "group-median", "group-deviation"), _by_code),
    "group-rank": _rank,
    "combine": _combine,
    "combined-frequency": _combined_frequency,
    "group-distinct": _by_code,
}


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Formulas with everything they learnt: `plan` is what features.json holds, `learnt` what statistics.npz holds."""

    plan: Mapping[str, Any]
    learnt: Learnt

    @property
    def names(self) -> list[str]:
        """The features' names, in the order of `transform`."""
        return [feature["name"] for feature in self.plan["features"]]

    def transform(self, frame: Any) -> FloatArray:
        """Return the features of a frame's rows, shape (n, features); categories are codes, missing values NaN.

        Raises:
            KeyError: A column is missing.
            ValueError: A numerical column holds texts or infinite values.
        """
        computed: dict[int, Values] = {}
        columns = [self._value(feature["node"], frame, computed).as_input() for feature in self.plan["features"]]
        return np.column_stack(columns)

    def _value(self, number: int, frame: Any, computed: dict[int, Values]) -> Values:
        if number not in computed:
            node = self.plan["nodes"][number]
            if "column" in node:
                computed[number] = encoded(node["column"], plain(_column(frame, node["column"]["name"])))
            else:
                inputs = [self._value(each, frame, computed) for each in node["inputs"]]
                computed[number] = OPERATORS[node["operator"]](inputs, self.learnt_by(number))
        return computed[number]

    def learnt_by(self, number: int) -> dict[str, NDArray[Any]]:
        """Return what one node of the plan learnt, by name."""
        start = f"{number}."
        return {key.removeprefix(start): array for key, array in self.learnt.items() if key.startswith(start)}


def _column(frame: Any, name: str) -> Any:
    columns = list(frame.keys() if isinstance(frame, Mapping) else frame.columns)
    if name not in columns:
        raise KeyError(f"expected a column {name!r}, found {', '.join(map(str, columns[:20]))}")
    return frame[name]


def load_features(folder: Path | str = HERE) -> Features:
    """Return the features that features.json and statistics.npz in `folder` describe."""
    plan = json.loads((Path(folder) / "features.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"features.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    with np.load(Path(folder) / "statistics.npz", allow_pickle=False) as stored:
        return Features(plan, {name: stored[name] for name in stored.files})
