"""New features and which of them, with which columns, a model needs: OpenFE's features as a Pareto search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.catalogue import check_operators
from emoprune.problems.tables.formulas.formula import Formula
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe import OPENFE
from emoprune.problems.tables.openfe.attribution import Attribution
from emoprune.problems.tables.openfe.screening import Screening
from emoprune.problems.tables.openfe.two_stage import Generation, two_stages
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.reading.sources import read_table, say
from emoprune.problems.tables.subsets.prepare import NewFeatures
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.problems.tables.subsets.references.openfe import FEATURES
from emoprune.problems.tables.table import Table

__all__ = ["FeatureSearch", "Features", "FeaturesOptions"]

PASSING = 4.0  # megabytes for formulas that are looked at: most of them are never needed again


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturesOptions(SubsetOptions):
    """What a search for columns and new features takes.

    Args:
        operators: Which of the 23 operators formulas are made of; all of them if none is named.
        order: How many operators may lie on top of each other.
        budget: How many formulas are looked at for each order.
        survivors: How many new features have a bit.
        slots: How many other new features a subset can have at once.
        others: How many formulas the slots can hold.
        screening: How formulas are judged alone: gain (cross-fitted) or trees (as published).
        attribution: How they are judged jointly: gain or permutation.
    """

    problem: ClassVar[str] = "features"

    references: Sequence[str | Mapping[str, Any]] = (
        "openfe",
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

    def __post_init__(self) -> None:
        SubsetOptions.__post_init__(self)
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

    @property
    def _slots(self) -> int:
        return self._options.slots

    def _new_features(self, seed: int) -> NewFeatures:
        """Generate features from a boosted and from a constant start, and take turns between them."""
        rows, trees = self.task.parts.search, TreeOptions()
        computed = Computed(self.task.table, PASSING)
        boosted = two_stages(computed, rows, self._generation, trees, seed=seed)
        constant = two_stages(computed, rows, self._generation, trees, seed=seed, start="constant")
        plain = boosted.ranked[: min(FEATURES, self._options.survivors)]
        survivors = _in_turns([plain, constant.ranked, boosted.ranked])[: self._options.survivors]
        ranked = _in_turns([boosted.ranked, constant.ranked, constant.others, boosted.others])
        kept = frozenset(survivors)
        others = [formula for formula in ranked if formula not in kept][: self._options.others]
        held = [formula for formula in plain if formula in others][: self._slots]
        openfe = tuple(formula for formula in plain if formula in kept or formula in held)
        considered, possible = boosted.considered + constant.considered, boosted.possible
        return NewFeatures(tuple(survivors), tuple(others), openfe, considered, possible)


def _in_turns(lists: Sequence[Sequence[Formula]]) -> list[Formula]:
    """Return all formulas once: the first ones of all lists, then the second ones."""
    return list(dict.fromkeys(each for turn in zip_longest(*lists) for each in turn if each is not None))


@about(
    "feature generation",
    ["columns", "formulas"],
    cost="both stages of OpenFE twice, then one model for each fold of each subset",
    papers=[OPENFE],
    training=True,
)
class Features(FeatureSearch):
    """Make new features of a table's columns, and choose among columns and features: error against how many stay.

    Once per run formulas are generated within a budget and pruned in OpenFE's two stages, on the rows to search on
    alone: judged by what they add to all columns, and by what they say themselves. The survivors have a bit each, like
    the columns; others that were good alone, of which there are many, can come in through slots. Statistics of groups
    are learnt on the training rows of each fold.
    """

    options: ClassVar[type[FeaturesOptions]] = FeaturesOptions

    def __init__(self, **given: Any) -> None:
        options = FeaturesOptions(**given)
        super().__init__(read_table(options.source), options)

    def prepare(self, folder: Path, seed: int) -> None:
        """Say what became of odd columns, and find or make new features and references."""
        say(self.task.table)
        super().prepare(folder, seed)
