"""New features and which of them, with which columns, a model needs: OpenFE's features as a Pareto search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.catalogue import check_operators
from emoprune.problems.tables.formulas.formula import Formula
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe.attribution import Attribution
from emoprune.problems.tables.openfe.screening import Screening
from emoprune.problems.tables.openfe.two_stage import Generation, two_stages
from emoprune.problems.tables.reading.making import TaskName, Wanted
from emoprune.problems.tables.reading.sources import Source
from emoprune.problems.tables.splits import SplitKind, Splits
from emoprune.problems.tables.subsets.prepare import NewFeatures
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.problems.tables.subsets.references.catalogue import METHODS
from emoprune.problems.tables.subsets.references.openfe import FEATURES
from emoprune.problems.tables.task import TableTask, table_task

__all__ = ["FeatureSearch", "Features", "NewOptions"]

PASSING = 4.0  # megabytes for formulas that are looked at: most of them are never needed again


@dataclass(frozen=True, slots=True)
class NewOptions:
    """How features are generated, how many have a bit, how many slots there are, and how many those can hold."""

    generation: Generation
    survivors: int = 40
    slots: int = 4
    others: int = 200

    def __post_init__(self) -> None:
        for name in ("survivors", "slots", "others"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, found {getattr(self, name)}")


class FeatureSearch(SubsetProblem):
    """The same search on a table in memory."""

    def __init__(self, task: TableTask, name: str, new: NewOptions, references: Sequence[str]) -> None:
        super().__init__(task, name, references)
        self._new = new

    @property
    def _slots(self) -> int:
        return self._new.slots

    def _new_features(self, seed: int) -> NewFeatures:
        """Generate features from a boosted and from a constant start, and take turns between them."""
        rows, trees = self.task.parts.search, TreeOptions()
        computed = Computed(self.task.table, PASSING)
        boosted = two_stages(computed, rows, self._new.generation, trees, seed=seed)
        constant = two_stages(computed, rows, self._new.generation, trees, seed=seed, start="constant")
        plain = boosted.ranked[: min(FEATURES, self._new.survivors)]
        survivors = _in_turns([plain, constant.ranked, boosted.ranked])[: self._new.survivors]
        ranked = _in_turns([boosted.ranked, constant.ranked, constant.others, boosted.others])
        kept = frozenset(survivors)
        others = [formula for formula in ranked if formula not in kept][: self._new.others]
        considered, possible = boosted.considered + constant.considered, boosted.possible
        return NewFeatures(tuple(survivors), tuple(others), plain, considered, possible)


def _in_turns(lists: Sequence[Sequence[Formula]]) -> list[Formula]:
    """Return all formulas once: the first ones of all lists, then the second ones."""
    return list(dict.fromkeys(each for turn in zip_longest(*lists) for each in turn if each is not None))


class Features(FeatureSearch):
    """Make new features of a table's columns, and choose among columns and features: error against how many stay.

    Once per run formulas are generated within a budget and pruned in OpenFE's two stages, on the rows to search on
    alone: judged by what they add to all columns, and by what they say themselves. The survivors have a bit each, like
    the columns; others that were good alone, of which there are many, can come in through slots. Statistics of groups
    are learnt on the training rows of each fold.

    Args:
        data, target, task, categorical, ignore: As for `feature-subset`.
        operators: Which of the 23 operators formulas are made of; all of them if none is named.
        order: How many operators may lie on top of each other.
        budget: How many formulas are looked at for each order.
        survivors: How many new features have a bit.
        slots: How many other new features a subset can have at once.
        others: How many formulas the slots can hold.
        screening: How formulas are judged alone: gain (cross-fitted) or trees (as published).
        attribution: How they are judged jointly: gain or permutation.
        splits, groups, time, select, test, folds, split_seed: As for `feature-subset`.
        learner, metric, costs, prices, at_most: As for `feature-subset`.
        references: openfe, rfe, mutual-information, boruta, forward, forward-new.
        race, cache_megabytes: As for `feature-subset`.
    """

    def __init__(
        self,
        *,
        data: str,
        target: str | None = None,
        task: TaskName = "auto",
        categorical: Sequence[str] = (),
        ignore: Sequence[str] = (),
        operators: Sequence[str] = (),
        order: int = 1,
        budget: int = 4000,
        survivors: int = 40,
        slots: int = 4,
        others: int = 200,
        screening: Screening = "gain",
        attribution: Attribution = "gain",
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
        references: Sequence[str] = tuple(METHODS),
        race: float = 2.0,
        cache_megabytes: int = 512,
    ) -> None:
        generation = Generation(check_operators(operators), order, budget, screening=screening, attribution=attribution)
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
        new = NewOptions(generation, survivors, slots, others)
        super().__init__(task_of_table, data, new, references)
