"""New features and which of them a model is better with, and which columns it needs: a Pareto search."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.catalogue import check_operators
from emoprune.problems.tables.formulas.formula import Formula
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe import OPENFE
from emoprune.problems.tables.openfe.attribution import Attribution
from emoprune.problems.tables.openfe.screening import Screening
from emoprune.problems.tables.openfe.stability import most_stable
from emoprune.problems.tables.openfe.two_stage import Found, Generation, Start, two_stages
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.reading.sources import read_table, say
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.subsets.prepare import NewFeatures
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.problems.tables.subsets.references.openfe import FEATURES
from emoprune.problems.tables.table import Table
from emoprune.space import IntArray

__all__ = ["FeatureBoosting", "FeatureSearch", "Features", "FeaturesOptions", "Mode"]

Mode = Literal["add", "select"]
FeatureBoosting = Literal["both"] | bool

STARTS: Mapping[FeatureBoosting, tuple[Start, ...]] = {
    "both": ("boosted", "constant"),
    True: ("published",),
    False: ("constant",),
}

LOOKED_AT = 64.0  # megabytes for formulas that are looked at: on growing blocks of rows, and from either start

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesOptions(SubsetOptions):
    """What a search for columns and new features takes.

    Args:
        mode: add keeps all columns and chooses new features; select chooses among both.
        operators: Which of the 23 operators formulas are made of; all of them if none is named.
        order: How many operators may lie on top of each other.
        budget: How many formulas are looked at for each order.
        survivors: How many new features have a bit.
        slots: How many other new features a subset can have at once.
        others: How many formulas the slots can hold.
        screening: How formulas are judged alone: gain (cross-fitted) or trees (as published).
        attribution: How they are judged jointly: gain or permutation.
        feature_boosting: What formulas are judged from: both looks for what adds to the predictions of trees on all
            columns, which are shrunk so that they are no surer than right, and for what tells the target by itself;
            true for the former alone, as published; false for the latter alone, the default of the package openfe.
    """

    problem: ClassVar[str] = "features"

    mode: Mode = "add"
    costs: Sequence[str | Mapping[str, Any]] = ("auto",)
    folds: int = 3
    references: Sequence[str | Mapping[str, Any]] = (
        "openfe",
        "stable",
        "rfe",
        "mutual-information",
        "boruta",
        "forward",
        "forward-new",
    )
    operators: Sequence[str] = ()
    order: int = 1
    budget: int = 4000
    survivors: int = 40
    slots: int = 4
    others: int = 200
    screening: Screening = "gain"
    attribution: Attribution = "gain"
    feature_boosting: FeatureBoosting = "both"

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:
        """Return the options of a run in today's words: subsets of all columns were once the only mode."""
        return {"mode": "select", **SubsetOptions.of_earlier(resolved, objectives)}

    def __post_init__(self) -> None:
        SubsetOptions.__post_init__(self)
        if self.mode not in get_args(Mode):
            raise ConfigError(f"mode: expected {' or '.join(get_args(Mode))}, found {self.mode!r}")
        if self.feature_boosting not in STARTS:
            raise ConfigError(f"feature_boosting: expected both, true or false, found {self.feature_boosting!r}")
        cost = "new-columns" if self.mode == "add" else "columns"
        object.__setattr__(self, "costs", tuple(cost if each == "auto" else each for each in self.costs))
        for name in ("survivors", "slots", "others"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}: expected 0 or more, found {getattr(self, name)}")

    @property
    def generation(self) -> Generation:
        """How features are generated."""
        return Generation(
            check_operators(self.operators),
            self.order,
            self.budget,
            screening=self.screening,
            attribution=self.attribution,
        )


class FeatureSearch(SubsetProblem):
    """The same search on a table in memory."""

    def __init__(self, table: Table, options: FeaturesOptions) -> None:
        super().__init__(table, options)
        self._options = options
        self._generation = options.generation
        if options.mode == "add":
            self._always = table.terms

    @property
    def _slots(self) -> int:
        return self._options.slots

    def _new_features(self, seed: int) -> NewFeatures:
        """Generate features on the rows to search on, and on the training rows of each fold alone."""
        parts, options = self.task.parts, self._options
        whole = self._screened(parts.search, seed)
        by_fold = [self._screened(block.train, seed) for block in parts.folds]
        ranking = _found_often([whole, *by_fold])
        plain = whole[0].ranked[: min(FEATURES, options.survivors)]
        kept = frozenset(list(dict.fromkeys([*plain, *ranking]))[: options.survivors])
        survivors = [formula for formula in ranking if formula in kept]
        ranked = [*ranking, *_in_turns([found.others for found in reversed(whole)])]
        others = [formula for formula in dict.fromkeys(ranked) if formula not in kept][: options.others]
        own = [frozenset(self._with_genes(each)) for each in by_fold]
        first = whole[0]
        _log.info(
            "features: %d of %d formulas looked at, %d have bits", first.considered, first.possible, len(survivors)
        )
        return NewFeatures(
            tuple(survivors),
            tuple(others),
            plain,
            tuple(tuple(formula for formula in (*survivors, *others) if formula in each) for each in own),
            sum(found.considered for found in whole),
            first.possible,
        )

    def _found_anew(self, folds: Sequence[Block], seed: int) -> Sequence[Sequence[Formula]]:
        """Rank what the training rows of each fold find."""
        return [_found_often([self._screened(fold.train, seed)]) for fold in folds]

    def _screened(self, rows: IntArray, seed: int) -> tuple[Found, ...]:
        """Return what is found on some rows from each start: a boosted and a constant one, or one of them."""
        computed, trees = Computed(self.task.table, LOOKED_AT), TreeOptions()
        starts = STARTS[self._options.feature_boosting]
        return tuple(two_stages(computed, rows, self._generation, trees, seed=seed, start=start) for start in starts)

    def _with_genes(self, found: tuple[Found, ...]) -> list[Formula]:
        """Return the features that would have genes if they had been looked for on these rows alone."""
        ranked = _in_turns([*(each.ranked for each in found), *(each.others for each in reversed(found))])
        return ranked[: self._options.survivors + self._options.others]


def _found_often(screened: Sequence[tuple[Found, ...]]) -> list[Formula]:
    """Return the ranking of what was found on different rows."""
    return most_stable([found.ranked for each in screened for found in each])


def _in_turns(lists: Sequence[Sequence[Formula]]) -> list[Formula]:
    """Return all formulas once: the first ones of all lists, then the second ones."""
    return list(dict.fromkeys(each for turn in zip_longest(*lists) for each in turn if each is not None))


@about(
    "feature generation",
    ["columns", "formulas"],
    cost="both stages of OpenFE twice for each fold, then one model for each fold of each subset",
    papers=[OPENFE],
    training=True,
)
class Features(FeatureSearch):
    """Make new features of a table's columns, and choose among them: loss against how many are new.

    Once per run formulas are generated within a budget and pruned in OpenFE's two stages, on the rows to search on
    alone: judged by what they add to all columns, and by what they say themselves; then once more on the training rows
    of each fold, and on a fold only what these find counts. What is found on most of them has a bit each; others can
    come in through slots. All columns stay, or with `mode: select` have bits as well. Statistics of groups are learnt
    on the training rows of each fold.
    """

    options: ClassVar[type[FeaturesOptions]] = FeaturesOptions

    def __init__(self, **given: Any) -> None:
        options = FeaturesOptions(**given)
        super().__init__(read_table(options.source), options)

    def prepare(self, folder: Path, seed: int) -> None:
        """Say what became of odd columns, and find or make new features and references."""
        say(self.task.table)
        super().prepare(folder, seed)
