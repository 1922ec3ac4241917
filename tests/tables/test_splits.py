"""Parts and folds of a table's rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables_for_tests import mixed, numbers, table

from emoprune.errors import ConfigError
from emoprune.problems.tables.rows.splits import SplitKind, Splits, folds_of, split
from emoprune.problems.tables.table import Table


def grouped(rows: int, groups: int, seed: int) -> Table:
    data = table(numbers(rows))
    codes = np.random.default_rng(seed).integers(0, groups, rows)
    return Table(data.columns, data.values, data.target, data.task, data.classes, codes)


@settings(deadline=None)
@given(
    st.sampled_from(["stratified", "random", "grouped", "time"]),
    st.integers(30, 200),
    st.integers(1, 4),  # a search part of 18 rows may hold no more than 5 of the groups
    st.integers(0, 99),
)
def test_no_row_is_in_two_parts_and_none_is_lost(kind: SplitKind, rows: int, folds: int, seed: int) -> None:
    data = grouped(rows, 15, seed)
    parts = split(data, Splits(kind, folds=folds, seed=seed))
    together = np.concatenate([parts.search, parts.select.scored, parts.test.scored])
    assert sorted(together.tolist()) == list(range(rows))
    for block in parts.folds:
        assert not set(block.train) & set(block.scored)
        assert set(block.train) | set(block.scored) <= set(parts.search.tolist())
    if folds > 1 and kind != "time":
        scored = np.concatenate([block.scored for block in parts.folds])
        assert sorted(scored.tolist()) == parts.search.tolist()


def test_every_part_and_fold_has_the_classes_in_their_shares() -> None:
    data = table(mixed(400))
    parts = split(data, Splits())
    share = data.target.mean()
    for rows in (parts.search, parts.select.scored, parts.test.scored, *(block.scored for block in parts.folds)):
        assert abs(data.target[rows].mean() - share) <= 1 / len(rows)


def test_a_rare_class_does_not_stop_the_cut() -> None:
    columns, target = mixed(100)
    target[:2] = "rare"
    parts = split(table((columns, target)), Splits())
    assert len(parts.folds) == 5


def test_groups_stay_together() -> None:
    data = grouped(120, 20, 0)
    assert data.groups is not None
    parts = split(data, Splits())
    for one, other in ((parts.search, parts.test.scored), *((block.train, block.scored) for block in parts.folds)):
        assert not set(data.groups[one]) & set(data.groups[other])


def test_time_goes_forwards() -> None:
    parts = split(table(numbers(100)), Splits("time", folds=4))
    assert parts.search.max() < parts.select.scored.min() <= parts.select.scored.max() < parts.test.scored.min()
    assert all(block.train.max() < block.scored.min() for block in parts.folds)


def test_the_same_seed_cuts_the_same_and_another_one_otherwise() -> None:
    data = table(mixed())
    first, second, other = (split(data, Splits(seed=seed)).search for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    fresh = [folds_of(data, first, Splits(), seed)[0].scored for seed in (1, 2)]
    assert not np.array_equal(*fresh)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"select": 0.0}, "select: expected a share between 0 and 1, found 0.0"),
        ({"test": 1.5}, "test: expected a share"),
        ({"select": 0.5, "test": 0.4}, "at most 0.8 together, found 0.9"),
        ({"folds": 0}, "folds: expected at least 1"),
    ],
)
def test_shares_that_leave_nothing_are_refused(options: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Splits(**options)  # type: ignore[arg-type]


def test_too_few_rows_or_groups_are_refused() -> None:
    with pytest.raises(ConfigError, match="6 rows are too few for 5 folds"):
        split(table(numbers(6)), Splits("random"))
    with pytest.raises(ConfigError, match="at least 3 groups to split by, found 2"):
        split(grouped(60, 2, 0), Splits())
    with pytest.raises(ConfigError, match="expected a `groups` column"):
        split(table(numbers()), Splits("grouped"))


@pytest.mark.parametrize("count", [4, 5, 6])
def test_few_large_groups_are_enough_as_long_as_every_part_gets_one(count: int) -> None:
    codes = np.repeat(np.arange(count), 20)
    parts = split(replace(table(numbers(len(codes))), groups=codes), Splits("grouped", 0.1, 0.1, folds=2))
    held = [set(codes[piece]) for piece in (parts.search, parts.select.scored, parts.test.scored)]
    assert all(held)
    assert sum(map(len, held)) == count
