"""A table, a learner and what is measured of subsets: what the problems of this domain share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Constraint, Objective, Row, Split
from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, row_frame
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.by_name import LearnerPlan, learner_plan
from emoprune.problems.tables.learners.contract import Learner, Model
from emoprune.problems.tables.measures import Measures
from emoprune.problems.tables.metrics import check_parts, metric_named
from emoprune.problems.tables.objectives.contract import Seen, Trained
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.racing import Baseline, Race, spread_of, stations
from emoprune.problems.tables.splits import Block, Parts, split
from emoprune.problems.tables.table import Table

__all__ = ["Loaded", "TableTask"]

FloatArray = NDArray[np.float64]

COUNTED = ("columns", "sources", "price")  # what a run's baselines hold, whatever its costs are


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: computed features and a learner, each with what it keeps."""

    computed: Computed
    learner: Learner


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A block, the model that learnt on it, and what that predicts for the rows to score."""

    block: Block
    model: Model
    predictions: FloatArray
    loss: float


class TableTask:
    """Measures subsets of columns and features of one table.

    Raises:
        ConfigError: The table is too small to be split, or an option does not fit it.
    """

    def __init__(self, table: Table, options: SubsetOptions) -> None:
        self.table = table
        self.options = options
        self.parts: Parts = split(table, options.cut)
        self.plan: LearnerPlan = learner_plan(options.learner, table.task)
        prices = dict(options.prices or {})
        _check_prices(prices, table)
        self.measures = Measures.of(
            metric_named(options.metric, table.task),
            options.costs,
            options.problem,
            at_most=options.at_most,
            counted=COUNTED,
            shared={"prices": prices},
        )
        check_parts(self.measures.metric, table, self.parts)
        self._stations, self._extra = stations(self.parts.folds)
        self._race: Race | None = None
        self._baselines: tuple[Baseline, ...] = ()

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds."""
        return self.measures.constraints

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The metric and the costs."""
        return self.measures.objectives(self._seen(self.table.terms))

    def _seen(self, terms: Sequence[Term]) -> Seen:
        return Seen(self.table, tuple(terms))

    def load(self, threads: int) -> Loaded:
        """Return what measuring takes."""
        half = self.options.cache_megabytes / 2
        return Loaded(Computed(self.table, half), self.plan.made(self.table.task, threads, half))

    def hold_against(self, baselines: Sequence[Baseline]) -> None:
        """Let subsets race against references from now on, of which the first is all columns.

        Measured times cannot be foreseen, so with them nobody is stopped.
        """
        self._baselines = tuple(baselines)
        if self.options.race and self.measures.all_counted:
            self._race = Race(self._baselines, self.measures.signs, self.options.race)

    @property
    def spread(self) -> float:
        """The standard deviation that the score of all columns has in the search, by resampling rows."""
        spreads = self._baselines[0].spreads[self._extra :] if self._baselines else (0.0,)
        return float(np.sqrt(np.square(spreads).sum())) / len(spreads)

    def baseline(self, loaded: Loaded, terms: Sequence[Term], seed: int) -> Baseline:
        """Return what a reference costs and loses at every station."""
        losses, spreads = [], []
        for block in self._stations:
            scored = self._scored(loaded, block, terms, seed)
            losses.append(scored.loss)
            weights = self.table.weights_of(block.scored)
            spreads.append(
                spread_of(self.measures.metric, self.table.target[block.scored], scored.predictions, weights)
            )
        whole = float(np.mean(losses[self._extra :]))
        return Baseline(self.measures.counted(self._seen(terms)), tuple(losses), tuple(spreads), whole)

    def row(self, loaded: Loaded, terms: Sequence[Term], seed: int, split_name: Split) -> Row:
        """Return objectives and bounded values of a subset."""
        seen = self._seen(terms)
        values = self.measures.counted(seen)
        if Split(split_name) is Split.SEARCH:
            loss, scored = self._raced(loaded, terms, seed, values)
        else:
            block = self.parts.select if Split(split_name) is Split.SELECT else self.parts.test
            scored = [self._scored(loaded, block, terms, seed)]
            loss = scored[0].loss
        metric = self.measures.metric
        values[metric.name] = -loss if metric.maximised else loss
        if not self.measures.all_counted:
            values |= self.measures.measured(replace(seen, after=self._trained(loaded, terms, scored)))
        return self.measures.row(values, "for these columns")

    def _raced(
        self, loaded: Loaded, terms: Sequence[Term], seed: int, costs: Mapping[str, float]
    ) -> tuple[float, list[_Scored]]:
        """Return the loss, and what it is the mean of unless the subset was stopped."""
        scored: list[_Scored] = []
        for block in self._stations:
            scored.append(self._scored(loaded, block, terms, seed))
            losses = [each.loss for each in scored]
            stopped = self._race.verdict(losses, costs) if self._race and len(losses) < len(self._stations) else None
            if stopped is not None:
                return stopped, scored
        return float(np.mean(losses[self._extra :])), scored[self._extra :]

    def _scored(self, loaded: Loaded, block: Block, terms: Sequence[Term], seed: int) -> _Scored:
        model = loaded.learner.fitted(loaded.computed, block, terms, seed)
        predictions = model.predict(loaded.computed.matrix(terms, block, block.scored))
        weights = self.table.weights_of(block.scored)
        loss = self.measures.metric.loss(self.table.target[block.scored], predictions, weights)
        return _Scored(block, model, predictions, loss)

    def _trained(self, loaded: Loaded, terms: Sequence[Term], scored: Sequence[_Scored]) -> Trained:
        last = scored[-1]

        def by_row() -> Callable[[int], FloatArray]:
            features = features_of(loaded.computed, last.block, terms)
            frame = row_frame(self.table, int(last.block.scored[0]))
            return lambda _: last.model.predict(features.transform(frame))

        return Trained(
            target=self.table.target[np.concatenate([each.block.scored for each in scored])],
            predictions=np.concatenate([each.predictions for each in scored]),
            model=last.model,
            by_row=by_row,
        )


def _check_prices(prices: Mapping[str, float], table: Table) -> None:
    """Refuse prices of columns that there are none of."""
    for name in prices:
        if name not in table.names:
            raise ConfigError(f"prices: there is no column {name!r}{nearest(name, table.names)}")
