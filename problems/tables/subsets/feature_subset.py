"""Which columns of a table a model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.formulas.formula import Column, Formula, from_plain, sources
from emoprune.problems.tables.reading.making import TaskName, Wanted
from emoprune.problems.tables.reading.sources import Source
from emoprune.problems.tables.splits import SplitKind, Splits
from emoprune.problems.tables.subsets.prepare import NewFeatures
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.problems.tables.table import Table
from emoprune.problems.tables.task import table_task

__all__ = ["FeatureSubset"]

REFERENCES = ("rfe", "mutual-information", "boruta", "forward")


class FeatureSubset(SubsetProblem):
    """Choose columns of a table: a bit per column, error against how many stay.

    The score that leads the search is the mean over folds of the rows to search on; the other two parts of the rows
    are scored by a model that learnt on all of these. A subset that is clearly worse than a reference with no more
    columns is not measured on the remaining folds.

    Args:
        data: A built-in table, a .csv, .tsv or .parquet file, or `package.module:function` that returns a frame, or a
            frame and the target.
        target: The column to predict, unless the data brings its target.
        task: classification or regression; auto takes texts and at most 20 different whole numbers for classes.
        categorical: Columns of numbers that are categories.
        ignore: Patterns of columns that are left out.
        formulas: New features as data, as an exported features.json has them; each gets a bit as well.
        splits: stratified, random, grouped or time; auto goes by groups and time if they are given.
        groups: A column whose rows of one value stay together.
        time: A column to sort the rows by; later rows are held out.
        select: The share of rows to choose from the front on.
        test: The share of rows to report on.
        folds: How many folds of the other rows lead the search; 1 holds a quarter of them out.
        split_seed: Another one cuts the rows otherwise.
        learner: lightgbm, logistic, ridge, random-forest, or an estimator's import target; with options as a mapping.
        metric: error, or a name of scikit-learn's; auto is the error, or the root of the mean squared error.
        costs: What is minimised besides: columns, sources, price, milliseconds.
        prices: What acquiring a column costs, for `price`.
        at_most: Bounds by measure.
        references: What a user would have picked: rfe, mutual-information, boruta, forward.
        race: How many spreads behind a reference a subset is dropped; 0 measures all folds of all.
        cache_megabytes: How much memory each worker may use for what candidates share.
    """

    def __init__(
        self,
        *,
        data: str,
        target: str | None = None,
        task: TaskName = "auto",
        categorical: Sequence[str] = (),
        ignore: Sequence[str] = (),
        formulas: Sequence[Mapping[str, Any]] = (),
        splits: SplitKind = "auto",
        groups: str | None = None,
        time: str | None = None,
        select: float = 0.2,
        test: float = 0.2,
        folds: int = 5,
        split_seed: int = 0,
        learner: str | Mapping[str, Any] = "lightgbm",
        metric: str = "auto",
        costs: Sequence[str] = ("columns",),
        prices: Mapping[str, float] | None = None,
        at_most: Mapping[str, float] | None = None,
        references: Sequence[str] = REFERENCES,
        race: float = 2.0,
        cache_megabytes: int = 512,
    ) -> None:
        task_of_table = table_task(
            Source(data, target, groups, time, Wanted(task, tuple(categorical), tuple(ignore))),
            Splits(splits, select, test, folds, split_seed),
            learner=learner,
            metric=metric,
            costs=costs,
            prices=prices,
            at_most=at_most,
            race=race,
            cache_megabytes=cache_megabytes,
        )
        self._formulas = tuple(_checked(each, task_of_table.table) for each in formulas)
        super().__init__(task_of_table, data, references)

    def _new_features(self, seed: int) -> NewFeatures:  # noqa: ARG002  # nothing is searched for
        return NewFeatures(survivors=self._formulas)


def _checked(plain: Mapping[str, Any], table: Table) -> Formula:
    found = from_plain(plain)
    if isinstance(found, Column):
        raise ConfigError(f"formulas: {found.name!r} is a column, which has a bit anyway; leave it out")
    for name in sorted(sources(found)):
        if name not in table.names:
            raise ConfigError(f"formulas: {str(found)!r}: there is no column {name!r}{nearest(name, table.names)}")
    return found
