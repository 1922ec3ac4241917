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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.readings import coded, moments, numbers, part
from emoprune.problems.tables.standalone.texts import SHAPES, Themes, is_theme, shape, texts_of, theme_place

HERE = Path(__file__).parent
FORMAT = "emoprune.features/1"

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


def encoded(column: Mapping[str, Any], array: NDArray[Any]) -> Values:
    """Return a plain column as its record in features.json says.

    Raises:
        ValueError: A numerical column holds texts or infinite values, or a date is none.
    """
    kind, categories, name = column["kind"], column.get("categories", ()), column["name"]
    if kind == "categorical":
        return Values(None, coded(array, categories), len(categories))
    if column.get("part") in SHAPES:
        found = shape(texts_of(array), column["part"])
        return Values(found, coded(found, categories) if kind == "ordinal" else None, len(categories))
    of_dates = "part" in column
    try:
        form = column.get("format", "")
        array = part(moments(array, form), column["part"]) if of_dates else numbers(array, form)
    except ValueError as error:
        raise ValueError(
            f"column {source_of(column)!r}: expected {'dates' if of_dates else 'numbers'}, {error}"
        ) from error
    if np.isinf(array).any():
        raise ValueError(f"column {name!r}: expected finite or missing values, found infinite ones")
    if kind == "ordinal":
        return Values(array, coded(array, categories), len(categories))
    return Values(array)


def source_of(column: Mapping[str, Any]) -> str:
    """Return the name that a frame has the column of a record under: of a part of a date or a text, its name."""
    return str(column.get("of", column["name"]))


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
    _themes: Mapping[str, Themes] = field(init=False)

    def __post_init__(self) -> None:
        known = {name: self.learnt_by(f"text {place}") for place, name in enumerate(self.plan.get("texts", ()))}
        object.__setattr__(self, "_themes", {name: Themes(**learnt) for name, learnt in known.items()})

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
        values = self.values(frame)
        return np.column_stack([each.as_input() for each in values]) if values else np.zeros((0, 0))

    def rows(self, frame: Any) -> Rows:
        """Return what reads a frame's columns."""
        return Rows(frame, self._themes)

    def values(self, frame: Any) -> list[Values]:
        """Return each feature of a frame's rows, as numbers, codes or both; raises as `transform` does."""
        computed: dict[int, Values] = {}
        rows = self.rows(frame)
        return [self._value(feature["node"], rows, computed) for feature in self.plan["features"]]

    def _value(self, number: int, rows: Rows, computed: dict[int, Values]) -> Values:
        if number not in computed:
            node = self.plan["nodes"][number]
            if "column" in node:
                computed[number] = rows.values(node["column"])
            else:
                inputs = [self._value(each, rows, computed) for each in node["inputs"]]
                computed[number] = OPERATORS[node["operator"]](inputs, self.learnt_by(number))
        return computed[number]

    def learnt_by(self, number: int | str) -> dict[str, NDArray[Any]]:
        """Return what one node of the plan, or one text, learnt, by name."""
        start = f"{number}."
        return {key.removeprefix(start): array for key, array in self.learnt.items() if key.startswith(start)}


class Rows:
    """A frame's columns, each read when it is first asked for."""

    def __init__(self, frame: Any, themes: Mapping[str, Themes]) -> None:
        self._frame, self._themes = frame, themes
        # Names of a frame need not be texts, as formulas' are.
        names = frame.keys() if isinstance(frame, Mapping) else getattr(frame, "column_names", frame.columns)
        self._original = {str(each): each for each in names}
        self._read: dict[str, NDArray[Any]] = {}
        self._themes_read: dict[str, FloatArray] = {}

    def values(self, column: Mapping[str, Any]) -> Values:
        """Return the values of a column of the plan; raises as `Features.transform` does."""
        name, part = source_of(column), column.get("part", "")
        if not is_theme(part):
            return encoded(column, self._column(name))
        if name not in self._themes_read:
            self._themes_read[name] = self._themes[name].of(texts_of(self._column(name)))
        return Values(np.ascontiguousarray(self._themes_read[name][:, theme_place(part)]))

    def _column(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            if name not in self._original:
                raise KeyError(f"expected a column {name!r}, found {', '.join(list(self._original)[:20])}")
            try:
                self._read[name] = plain(self._frame[self._original[name]])
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from error
        return self._read[name]


def load_features(folder: Path | str = HERE) -> Features:
    """Return the features that features.json and statistics.npz in `folder` describe."""
    plan = json.loads((Path(folder) / "features.json").read_text(encoding="utf-8"))
    if plan.get("format") != FORMAT:
        raise ValueError(f"features.json: expected format {FORMAT!r}, found {plan.get('format')!r}")
    with np.load(Path(folder) / "statistics.npz", allow_pickle=False) as stored:
        return Features(plan, {name: stored[name] for name in stored.files})
