"""Which columns of a table a model needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.formulas.formula import Column, Formula, from_plain, sources
from emoprune.problems.tables.options import SubsetOptions
from emoprune.problems.tables.reading.sources import read_table, say
from emoprune.problems.tables.subsets.prepare import NewFeatures
from emoprune.problems.tables.subsets.problem import SubsetProblem
from emoprune.problems.tables.table import Table

__all__ = ["FeatureSubset", "FeatureSubsetOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSubsetOptions(SubsetOptions):
    """What a search for columns takes.

    Args:
        formulas: New features as data, as an exported features.json has them; each gets a bit as well.
    """

    problem: ClassVar[str] = "feature-subset"

    formulas: Sequence[Mapping[str, Any]] = ()


@about("pruning", ["columns"], cost="one model for each fold of each subset", training=True)
class FeatureSubset(SubsetProblem):
    """Choose columns of a table: a bit per column, error against how many stay.

    The score that leads the search is the mean over folds of the rows to search on; the other two parts of the rows
    are scored by a model that learnt on all of these.
    """

    options: ClassVar[type[FeatureSubsetOptions]] = FeatureSubsetOptions

    def __init__(self, **given: Any) -> None:
        options = FeatureSubsetOptions(**given)
        super().__init__(read_table(options.source), options)
        self._formulas = tuple(_checked(each, self.task.table) for each in options.formulas)

    def prepare(self, folder: Path, seed: int) -> None:
        """Say what became of odd columns, and find or make new features and references."""
        say(self.task.table)
        super().prepare(folder, seed)

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
