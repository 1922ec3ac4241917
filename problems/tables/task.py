"""A table, a learner and what is measured of subsets: what the problems of this domain share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Constraint, Failure, Objective, Row, Sense, Split
from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, row_frame
from emoprune.problems.tables.formulas.formula import Column, Term
from emoprune.problems.tables.learners.by_name import LearnerPlan, learner_plan
from emoprune.problems.tables.learners.contract import Growing, Learner, Model
from emoprune.problems.tables.learners.guessing import Guess
from emoprune.problems.tables.objectives.contract import Seen, Trained
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.rows.splits import Block, Parts, split
from emoprune.problems.tables.scores.measures import Measures
from emoprune.problems.tables.scores.metrics import check_parts, metric_named
from emoprune.problems.tables.scores.racing import Baseline, Race, spread_of
from emoprune.problems.tables.table import Table

__all__ = ["Loaded", "TableTask"]

FloatArray = NDArray[np.float64]

COUNTED = ("columns", "new-columns", "sources", "price")  # what a run's baseline holds, whatever its costs are
WORTH = 0.01  # of a loss, which more training has to take off it
FOLDS = "folds"  # what a run calls the number of folds that a subset was measured on


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: computed features and a learner, each with what it keeps."""

    computed: Computed
    learner: Learner


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """A block, the inputs that count on it, the model that learnt on it, and what that predicts for the scored rows."""

    block: Block
    entering: tuple[Term, ...]
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
        self._given_plan = self.plan
        prices = dict(options.prices or {})
        _check_prices(prices, table)
        self.measures = Measures.of(
            metric_named(options.metric, table.task, table.classes),
            options.costs,
            options.problem,
            at_most=options.at_most,
            counted=COUNTED,
            shared={"prices": prices},
        )
        _check_weights(table, self.parts)
        check_parts(self.measures.metric, table, self.parts)
        self._races = options.race > 0 and self.measures.all_counted
        self._race: Race | None = None
        self._baseline: Baseline | None = None
        self._never_raced: frozenset[tuple[Term, ...]] = frozenset()
        self._admitted: Mapping[str, frozenset[Term]] = {}

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds; and, where subsets race, that one was measured on all folds."""
        complete = Constraint(FOLDS, len(self.parts.folds), "", Sense.AT_LEAST)
        return (*self.measures.constraints, *((complete,) if self._races else ()))

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

    def staged_losses(self, loaded: Loaded, block: Block, terms: Sequence[Term], seed: int) -> FloatArray:
        """Return what a subset loses on a block after each stage of training that is worth it, shape (stages,).

        There is one stage if the learner has no others, or was given its number of trees.
        """
        entering = self._entering(block, terms)
        if not entering or not isinstance(loaded.learner, Growing) or not self._given_plan.open:
            return np.array([self._scored(loaded, block, terms, seed).loss])
        inputs = loaded.computed.matrix(entering, block, block.scored)
        losses: list[float] = []
        for model in loaded.learner.stages(loaded.computed, block, entering, seed):
            losses.append(self._loss(block, model.predict(inputs)))
            if len(losses) > 1 and losses[-2] - losses[-1] < WORTH * abs(losses[-2]):
                break
        return np.array(losses)

    def settings(self) -> tuple[Loaded, ...]:
        """Return what measures with each setting of the learner, on one thread; they share what is computed."""
        each = self.options.cache_megabytes / 4
        computed = Computed(self.table, each)
        plans = self.plan.settings(self._given_plan)
        return tuple(Loaded(computed, plan.made(self.table.task, 1, each)) for plan in plans)

    def admit(self, admitted: Mapping[str, frozenset[Term]]) -> None:
        """Let new features count on a fold only where its own training rows, without the scored ones, find them.

        Args:
            admitted: By the key of a fold; on blocks that are never named all new features count.
        """
        self._admitted = {**self._admitted, **admitted}

    def hold_against(self, baseline: Baseline, never_raced: Sequence[tuple[Term, ...]]) -> None:
        """Let subsets race against all columns from now on, but those that are `never_raced`.

        Measured times cannot be foreseen, so with them nobody is stopped.
        """
        self._baseline = baseline
        self._never_raced = frozenset(never_raced)
        if self._races:
            self._race = Race(baseline, self.measures.signs, self.options.race)

    @property
    def spread(self) -> float:
        """The standard deviation that the score of all columns has in the search, by resampling rows."""
        return self._baseline.spread if self._baseline else 0.0

    def baseline(self, loaded: Loaded, seed: int) -> Baseline:
        """Return what all columns cost and lose on every fold."""
        losses, spreads = [], []
        for block in self.parts.folds:
            scored = self._scored(loaded, block, self.table.terms, seed)
            losses.append(scored.loss)
            target, weights = self.table.target[block.scored], self.table.weights_of(block.scored)
            spreads.append(spread_of(self.measures.metric, target, scored.predictions, weights))
        return Baseline(self.measures.counted(self._seen(self.table.terms)), tuple(losses), tuple(spreads))

    def losses(self, loaded: Loaded, blocks: Sequence[Block], terms: Sequence[Term], seed: int) -> FloatArray:
        """Return what a subset loses on blocks, shape (blocks,), in the metric made smaller."""
        return np.array([self._scored(loaded, block, terms, seed).loss for block in blocks])

    def row(self, loaded: Loaded, terms: Sequence[Term], seed: int, split_name: Split) -> Row:
        """Return objectives, bounded values and, where subsets race, the number of folds that a subset was measured on.

        The metric is the mean over these folds. A subset that was stopped has fewer of them than the constraint wants,
        so it is never ranked among those that were measured in full.
        """
        seen = self._seen(terms)
        values = self.measures.counted(seen)
        if Split(split_name) is Split.SEARCH:
            scored = self._raced(loaded, terms, seed, values)
        else:
            block = self.parts.select if Split(split_name) is Split.SELECT else self.parts.test
            scored = [self._scored(loaded, block, terms, seed)]
        loss = float(np.mean([each.loss for each in scored]))
        metric = self.measures.metric
        values[metric.name] = -loss if metric.maximised else loss
        if not self.measures.all_counted:
            values |= self.measures.measured(replace(seen, after=self._trained(loaded, scored)))
        row = self.measures.row(values, "for these columns")
        if isinstance(row, Failure) or not self._races:
            return row
        return [*row, len(scored) if Split(split_name) is Split.SEARCH else len(self.parts.folds)]

    def _raced(self, loaded: Loaded, terms: Sequence[Term], seed: int, costs: Mapping[str, float]) -> list[_Scored]:
        """Return what a subset scores on all folds, or on the first ones if it was stopped."""
        race = None if tuple(terms) in self._never_raced else self._race
        scored: list[_Scored] = []
        for block in self.parts.folds:
            scored.append(self._scored(loaded, block, terms, seed))
            if race is not None and race.lost([each.loss for each in scored], costs):
                break
        return scored

    def _scored(self, loaded: Loaded, block: Block, terms: Sequence[Term], seed: int) -> _Scored:
        entering = self._entering(block, terms)
        model: Model = Guess.of(self.table, block, len(entering))
        if entering:
            model = loaded.learner.fitted(loaded.computed, block, entering, seed)
        predictions = model.predict(loaded.computed.matrix(entering, block, block.scored))
        return _Scored(block, entering, model, predictions, self._loss(block, predictions))

    def _loss(self, block: Block, predictions: FloatArray) -> float:
        weights = self.table.weights_of(block.scored)
        return self.measures.metric.loss(self.table.target[block.scored], predictions, weights)

    def _entering(self, block: Block, terms: Sequence[Term]) -> tuple[Term, ...]:
        """Return the inputs without new features that the block's own training rows did not find."""
        found = self._admitted.get(block.key)
        return tuple(term for term in terms if found is None or isinstance(term, Column) or term in found)

    def _trained(self, loaded: Loaded, scored: Sequence[_Scored]) -> Trained:
        last = scored[-1]

        def by_row() -> Callable[[int], FloatArray]:
            features = features_of(loaded.computed, last.block, last.entering)
            frame = row_frame(self.table, int(last.block.scored[0]))
            return lambda _: last.model.predict(features.transform(frame))

        return Trained(
            target=self.table.target[np.concatenate([each.block.scored for each in scored])],
            predictions=np.concatenate([each.predictions for each in scored]),
            model=last.model,
            by_row=by_row,
        )


def _check_weights(table: Table, parts: Parts) -> None:
    """Refuse weights that leave a part no row that counts."""
    for block in (*parts.folds, parts.select, parts.test):
        for rows, use in ((block.train, "to learn on"), (block.scored, "to score")):
            weights = table.weights_of(rows)
            if weights is not None and not weights.any():
                raise ConfigError(
                    f"weights: expected a weight above zero among the rows {use} of each part, found none in one of "
                    f"{len(rows)} rows; drop rows that do not count, or ask for fewer folds"
                )


def _check_prices(prices: Mapping[str, float], table: Table) -> None:
    """Refuse prices of columns that there are none of."""
    for name in prices:
        if name not in table.names:
            raise ConfigError(f"prices: there is no column {name!r}{nearest(name, table.names)}")
