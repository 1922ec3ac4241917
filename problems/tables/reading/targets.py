"""A plain target as numbers or as classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.texts import meaning_of
from emoprune.problems.tables.standalone.readings import is_gap, label, numbers
from emoprune.problems.tables.table import Task

__all__ = ["TASKS", "TaskName", "target_of"]

TaskName = Literal["auto", "classification", "regression"]
TASKS = ("auto", "classification", "regression")

CLASS_LEVELS = 20
ROWS_PER_CLASS = 3
CLASSES_TOO = ("-", "--", ".")  # which may well be classes, although in a column they would be gaps


def target_of(target: NDArray[Any], wanted: TaskName) -> tuple[Task, NDArray[np.float64], tuple[str, ...]]:
    """Return the task, the target as numbers or as places among classes, and the classes; none for numbers.

    Raises:
        ConfigError: It cannot be predicted: a gap, an infinite value, one class or only one value.
    """
    target = _meant(target, wanted)
    of_numbers = target.dtype.kind == "f"
    missing = np.isnan(target) if of_numbers else np.array([value is None for value in target])
    if missing.any():
        raise ConfigError(
            f"target: expected a value in every row, found {int(missing.sum())} missing ones; drop these rows"
        )
    if of_numbers and np.isinf(target).any():
        raise ConfigError("target: expected finite values, found infinite ones; drop or replace these rows")
    found, places = np.unique(target if of_numbers else target.astype(str), return_inverse=True)
    if wanted == "regression" or (wanted == "auto" and not _are_classes(found, len(target))):
        return _regression(target, found)
    return _classification(found, places)


def _meant(target: NDArray[Any], wanted: TaskName) -> NDArray[Any]:
    """Return dates and, where they are asked for, texts as numbers; texts without what stands for missing."""
    if target.dtype.kind != "O":
        return numbers(target)
    meaning = meaning_of(target, category=False)
    read = meaning.array
    gaps = np.array([isinstance(value, str) and is_gap(value) and value.strip() not in CLASSES_TOO for value in target])
    of_numbers = wanted == "regression" or (wanted == "auto" and (gaps.any() or meaning.form != ""))
    if read.dtype.kind == "f" and of_numbers:
        return read
    return np.array([None if gap else value for gap, value in zip(gaps, target, strict=True)], dtype=object)


def _are_classes(found: NDArray[Any], rows: int) -> bool:
    if found.dtype.kind != "f":
        return True
    return bool((found == np.floor(found)).all()) and len(found) <= max(2, min(CLASS_LEVELS, rows // ROWS_PER_CLASS))


def _regression(target: NDArray[Any], found: NDArray[Any]) -> tuple[Task, NDArray[np.float64], tuple[str, ...]]:
    if target.dtype.kind != "f":
        raise ConfigError(f"target: expected numbers for a regression, found texts such as {str(found[0])!r}")
    if len(found) < 2:
        raise ConfigError(f"target: expected different values, found only {found[0]:g}; there is nothing to predict")
    return Task.REGRESSION, target, ()


def _classification(
    found: NDArray[Any], places: NDArray[np.int64]
) -> tuple[Task, NDArray[np.float64], tuple[str, ...]]:
    classes = tuple(label(value) for value in found.tolist())
    if len(found) < 2:
        raise ConfigError(f"target: expected at least two classes, found one class, {classes[0]!r}")
    if len(found) > len(places) / 2:
        raise ConfigError(
            f"target: expected classes with several rows each, found {len(found)} classes in {len(places)} rows; "
            "set task: regression"
        )
    task = Task.BINARY if len(found) == 2 else Task.MULTICLASS
    return task, places.astype(np.float64), classes
