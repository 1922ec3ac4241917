"""What is said of numbers that may stand for something else, and is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score, make_scorer

from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.reading.making import Wanted, table_of
from emoprune.problems.tables.scores.metrics import metric_named
from emoprune.problems.tables.table import Task

AGES = np.arange(60.0) % 37 + 18
TARGET = np.array(["a", "b"] * 30, dtype=object)


@pytest.mark.parametrize("code", [-999.0, -9.0, 9999.0])
def test_a_code_far_from_all_other_numbers_is_said_and_stays(code: float) -> None:
    column = np.where(np.arange(60) % 20 == 0, code, AGES / (20 if code == -9 else 1))
    data = table_of({"age": column}, TARGET, Wanted())
    assert data.notes[0].startswith(f"age holds {code:g} in 3 rows, and otherwise ")
    np.testing.assert_array_equal(data.values[0].numbers, column)


@pytest.mark.parametrize(
    "column",
    [
        np.where(np.arange(60) == 7, -999.0, AGES),  # once: it may have been measured
        np.where(np.arange(60) % 20 == 0, 99.0, AGES),  # near the others
        np.where(np.arange(60) % 3 == 0, -9.0, 1.0),  # two levels
        np.arange(60.0) - 999,
    ],
)
def test_numbers_that_belong_to_the_others_are_not_doubted(column: np.ndarray) -> None:
    assert table_of({"x": column, "age": AGES}, TARGET, Wanted()).notes == ()


def test_whole_numbers_that_are_days_are_said_to_be_numbers() -> None:
    days = np.array([20240100 + day % 28 + 1 for day in range(60)], dtype=np.float64)
    data = table_of({"when": days, "age": AGES}, TARGET, Wanted())
    (note,) = data.notes
    assert note.startswith("when holds whole numbers such as 20240101 that may be days, and is read as numbers; write ")
    assert note.endswith("such as 2024-01-01, if they are.")
    assert table_of({"article": days + 50, "age": AGES}, TARGET, Wanted()).notes == ()


@pytest.mark.parametrize("scorer", ["f1", "average_precision", make_scorer(f1_score)])
def test_a_metric_says_which_class_is_positive_where_nobody_named_it(scorer: object) -> None:
    (note,) = metric_named(scorer, Task.BINARY, ("good", "poor")).notes
    assert "takes 'poor' for the positive class, the last of the two by name" in note
    assert metric_named(scorer, Task.BINARY, ("0", "1")).notes == ()


@pytest.mark.parametrize("scorer", ["accuracy", "roc_auc", make_scorer(f1_score, pos_label="good")])
def test_a_metric_that_has_no_positive_class_or_was_given_one_says_nothing(scorer: object) -> None:
    assert metric_named(scorer, Task.BINARY, ("good", "poor")).notes == ()


def test_fit_warns_of_the_positive_class() -> None:
    inputs = np.random.default_rng(0).normal(size=(120, 3))
    small = EvolvedFeatures(metric="f1", population=4, generations=1, budget=8, folds=2, references=("stable",))
    with pytest.warns(UserWarning, match="metric: f1 takes 'poor' for the positive class"):
        small.fit(inputs, np.where(inputs[:, 0] > 0, "good", "poor"))
