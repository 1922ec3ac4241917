"""What the problems on tables can be told: each option written once, those that all of them have first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.making import TaskName, Wanted
from emoprune.problems.tables.reading.sources import Source
from emoprune.problems.tables.rows.drawing import BY_DEFAULT, Drawing
from emoprune.problems.tables.rows.splits import SplitKind, Splits

__all__ = ["SubsetOptions", "TableOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """Where a table comes from, what is trained on it, and what is measured.

    Args:
        data: A built-in table, a .csv, .tsv or .parquet file, or `package.module:function` that returns a frame, or a
            frame and the target.
        target: The column to predict, unless the data brings its target.
        task: classification or regression; auto takes texts and at most 20 different whole numbers for classes.
        ignore: Patterns of columns that are left out.
        time: A column to sort the rows by; later rows are held out.
        learner: lightgbm, logistic, ridge, random-forest, or an estimator's import target; with options as a mapping.
            How the trees of lightgbm are grown is chosen once, on all columns, unless `trees` is given.
        metric: error, a name of scikit-learn's, or a scorer's import target; auto is the log loss, or the root of the
            mean squared error.
        costs: What is minimised besides: objectives by name, such as columns and milliseconds (`emoprune list
            objectives`), or as mappings of a name and options.
        select: The share of rows to choose from the front on.
        test: The share of rows to report on.
    """

    problem: ClassVar[str]  # what configs call the problem that takes them

    data: str
    target: str | None = None
    task: TaskName = "auto"
    ignore: Sequence[str] = ()
    time: str | None = None
    learner: str | Mapping[str, Any] = "lightgbm"
    metric: str = "auto"
    costs: Sequence[str | Mapping[str, Any]] = ("columns",)
    select: float = 0.2
    test: float = 0.2

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:
        """Return the options of a run in today's words: `auto` was once the error of classes."""
        was_error = resolved.get("metric") == "auto" and "error" in objectives
        return {**resolved, "metric": "error"} if was_error else resolved

    @property
    def source(self) -> Source:
        """Where the table is read from, and what becomes of its columns."""
        return Source(self.data, self.target, None, self.time, Wanted(self.task, (), tuple(self.ignore), None))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetOptions(TableOptions):
    """What a search for subsets takes besides; where a table in memory is searched, `data` is what it is called.

    Args:
        categorical: Columns of numbers or free texts that are categories.
        text: Columns that are free texts although few of their texts differ; of others it is found. None reads none so.
        groups: A column whose rows of one value stay together.
        weights: A column of what each row counts, in training, in screening and in scores.
        splits: stratified, random, grouped or time; auto goes by groups and time if they are given.
        rows: At how many rows the search looks, None for all; of more so many are drawn, with the classes in their
            shares, evenly in time, or in whole groups.
        folds: How many folds of the other rows lead the search; 1 holds a quarter of them out.
        split_seed: Another one cuts the rows otherwise.
        keep: Columns that stay whatever is chosen.
        prices: What acquiring a column costs, for `price`.
        at_most: Bounds by measure; on a measure of which more is better a bound from below.
        references: What a user would have picked: methods by name, such as rfe (`emoprune list references`), or as
            mappings of a name and options.
        race: How many spreads behind all columns a subset that costs no less is dropped; 0 measures all folds of all.
        cache_megabytes: How much memory each worker may use for what candidates share.
    """

    categorical: Sequence[str] = ()
    text: Sequence[str] | None = ()
    groups: str | None = None
    weights: str | None = None
    splits: SplitKind = "auto"
    rows: int | None = BY_DEFAULT
    folds: int = 5
    split_seed: int = 0
    keep: Sequence[str] = ()
    prices: Mapping[str, float] | None = None
    at_most: Mapping[str, float] | None = None
    references: Sequence[str | Mapping[str, Any]] = ("rfe", "mutual-information", "boruta", "forward")
    race: float = 2.0
    cache_megabytes: int = 512

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:
        """Return the options of a run in today's words: subsets were once chosen with trees that were not tuned.

        Free texts were left out, and are so still where a run was begun without them; all rows were looked at, and are
        where a run does not say at how many. Rows of races of that time do not say on how many folds they were
        measured, so the run goes on without races.
        """
        own = {"text": None, "rows": None, **TableOptions.of_earlier(resolved, objectives)}
        if "keep" in own:
            return own
        learner = own["learner"] if isinstance(own["learner"], Mapping) else {"name": own["learner"]}
        if learner["name"] == "lightgbm":
            own["learner"] = {"trees": None, **learner}
        return {**own, "race": 0.0, "keep": []}

    def __post_init__(self) -> None:
        if self.race < 0:
            raise ConfigError(f"race: expected 0 (no races) or more, found {self.race}")
        if self.cache_megabytes < 1:
            raise ConfigError(f"cache_megabytes: expected at least 1, found {self.cache_megabytes}")

    @property
    def source(self) -> Source:
        """Where the table is read from, and what becomes of its columns."""
        text = None if self.text is None else tuple(self.text)
        wanted = Wanted(self.task, tuple(self.categorical), tuple(self.ignore), text)
        drawing = Drawing(self.rows, self.cut)
        return Source(self.data, self.target, self.groups, self.time, wanted, self.weights, drawing)

    @property
    def cut(self) -> Splits:
        """How the rows are cut; a `time` column makes `auto` go by it."""
        kind = "time" if self.time is not None and self.splits == "auto" else self.splits
        return Splits(kind, self.select, self.test, self.folds, self.split_seed)
