"""A table, a learner and what is measured of subsets: what the problems of this domain share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Constraint, Failure, Objective, Row, Split
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, row_frame
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.by_name import LearnerPlan, learner_plan
from emoprune.problems.tables.learners.contract import Learner, Model
from emoprune.problems.tables.measures import Measures
from emoprune.problems.tables.metrics import metric_named
from emoprune.problems.tables.racing import Race, Yardstick, spread_of, stations
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.splits import Block, Parts, Splits, split
from emoprune.problems.tables.table import Table

__all__ = ["Loaded", "Options", "TableTask", "table_task"]

FloatArray = NDArray[np.float64]

WARM_UP = 5
TIMED = 31  # predictions of one row


@dataclass(frozen=True, slots=True)
class Options:
    """How subsets are measured, as the config has it."""

    splits: Splits = field(default_factory=Splits)
    learner: str | Mapping[str, Any] = "lightgbm"
    metric: str = "auto"
    costs: tuple[str, ...] = ("columns",)
    prices: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    race: float = 2.0
    cache_megabytes: int = 512

    def __post_init__(self) -> None:
        if self.race < 0:
            raise ConfigError(f"race: expected 0 (no races) or more, found {self.race}")
        if self.cache_megabytes < 1:
            raise ConfigError(f"cache_megabytes: expected at least 1, found {self.cache_megabytes}")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: computed features and a learner, each with what it keeps."""

    computed: Computed
    learner: Learner


class TableTask:
    """Measures subsets of columns and features of one table.

    Raises:
        ConfigError: The table is too small to be split, or an option does not fit it.
    """

    def __init__(self, table: Table, options: Options) -> None:
        self.table = table
        self.options = options
        self.parts: Parts = split(table, options.splits)
        self.plan: LearnerPlan = learner_plan(options.learner, table.task)
        metric = metric_named(options.metric, table.task)
        self.measures = Measures(metric, options.costs, options.prices, options.at_most)
        self.measures.check_prices(table)
        self._stations, self._extra = stations(self.parts.folds)
        self._race: Race | None = None
        self._yardsticks: tuple[Yardstick, ...] = ()

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds."""
        return self.measures.constraints

    def objectives(self, terms: Sequence[Term]) -> tuple[Objective, ...]:
        """Return the objectives where these are all inputs there can be."""
        return self.measures.objectives(self.measures.counted(terms))

    def load(self, threads: int) -> Loaded:
        """Return what measuring takes."""
        half = self.options.cache_megabytes / 2
        return Loaded(Computed(self.table, half), self.plan.made(self.table.task, threads, half))

    def hold_against(self, yardsticks: Sequence[Yardstick]) -> None:
        """Let subsets race against references from now on, of which the first is all columns.

        Measured times cannot be foreseen, so with them nobody is stopped.
        """
        self._yardsticks = tuple(yardsticks)
        if self.options.race and not self.measures.timed:
            self._race = Race(self._yardsticks, self.measures.costs, self.options.race)

    @property
    def spread(self) -> float:
        """The standard deviation that the score of all columns has in the search, by resampling rows."""
        spreads = self._yardsticks[0].spreads[self._extra :] if self._yardsticks else (0.0,)
        return float(np.sqrt(np.square(spreads).sum())) / len(spreads)

    def yardstick(self, loaded: Loaded, terms: Sequence[Term], seed: int) -> Yardstick:
        """Return what a reference costs and loses at every station."""
        losses, spreads = [], []
        for block in self._stations:
            _, predictions = self._predicted(loaded, block, terms, seed)
            target = self.table.target[block.scored]
            losses.append(self.measures.metric.loss(target, predictions))
            spreads.append(spread_of(self.measures.metric, target, predictions))
        whole = float(np.mean(losses[self._extra :]))
        return Yardstick(self.measures.counted(terms), tuple(losses), tuple(spreads), whole)

    def row(self, loaded: Loaded, terms: Sequence[Term], seed: int, split_name: Split) -> Row:
        """Return objectives and bounded values of a subset."""
        values = self.measures.counted(terms)
        if Split(split_name) is Split.SEARCH:
            loss, model, block = self._raced(loaded, terms, seed, values)
        else:
            block = self.parts.select if Split(split_name) is Split.SELECT else self.parts.test
            model, predictions = self._predicted(loaded, block, terms, seed)
            loss = self.measures.metric.loss(self.table.target[block.scored], predictions)
        metric = self.measures.metric
        values[metric.name] = -loss if metric.maximised else loss
        if self.measures.timed:
            values["milliseconds"] = self._milliseconds(loaded, model, block, terms)
        row = self.measures.row(values)
        return row if np.isfinite(row).all() else Failure(f"{metric.name} is {values[metric.name]} for these columns")

    def _raced(
        self, loaded: Loaded, terms: Sequence[Term], seed: int, costs: Mapping[str, float]
    ) -> tuple[float, Model, Block]:
        losses: list[float] = []
        for block in self._stations:
            model, predictions = self._predicted(loaded, block, terms, seed)
            losses.append(self.measures.metric.loss(self.table.target[block.scored], predictions))
            stopped = self._race.verdict(losses, costs) if self._race and len(losses) < len(self._stations) else None
            if stopped is not None:
                return stopped, model, block
        return float(np.mean(losses[self._extra :])), model, block

    def _predicted(self, loaded: Loaded, block: Block, terms: Sequence[Term], seed: int) -> tuple[Model, FloatArray]:
        model = loaded.learner.fitted(loaded.computed, block, terms, seed)
        return model, model.predict(loaded.computed.matrix(terms, block, block.scored))

    def _milliseconds(self, loaded: Loaded, model: Model, block: Block, terms: Sequence[Term]) -> float:
        """Return the median time from one row of plain columns to its prediction, after a few that do not count."""
        features = features_of(loaded.computed, block, terms)
        frame = row_frame(self.table, int(block.scored[0]))
        spent = []
        for _ in range(WARM_UP + TIMED):
            begun = time.perf_counter()
            model.predict(features.transform(frame))
            spent.append(1000 * (time.perf_counter() - begun))
        return statistics.median(spent[WARM_UP:])


def table_task(
    source: Source,
    splits: Splits,
    *,
    learner: str | Mapping[str, Any],
    metric: str,
    costs: Sequence[str],
    prices: Mapping[str, float] | None,
    at_most: Mapping[str, float] | None,
    race: float,
    cache_megabytes: int,
) -> TableTask:
    """Return the task that a config's options describe; a `time` column makes `auto` splits go by it.

    Raises:
        ConfigError: The table cannot be read or used, or an option does not fit it.
    """
    by_time = source.time is not None and splits.kind == "auto"
    options = Options(
        splits=replace(splits, kind="time") if by_time else splits,
        learner=learner,
        metric=metric,
        costs=tuple(costs),
        prices=dict(prices or {}),
        at_most=dict(at_most or {}),
        race=race,
        cache_megabytes=cache_megabytes,
    )
    return TableTask(read_table(source), options)
