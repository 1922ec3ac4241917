"""What the problem on rules can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emoprune.errors import ConfigError
from emoprune.problems.tables.reading.making import Wanted
from emoprune.problems.tables.reading.sources import Source
from emoprune.problems.tables.rows.splits import SplitKind, Splits

__all__ = ["RuleOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOptions:
    """Where a table comes from, how rules are learnt from it, and what is measured of those that stay.

    Args:
        data: A built-in table, a .csv, .tsv or .parquet file, or `package.module:function` that returns a frame, or a
            frame and the target.
        target: The column of classes, unless the data brings its target.
        ignore: Patterns of columns that are left out.
        categorical: Columns of numbers that are categories.
        groups: A column whose rows of one value stay together.
        time: A column to sort the rows by; later rows are held out.
        ratio: How many rows of other classes a rule may cover for each of its own, before exceptions.
        most: How many rules a set has at most, without exceptions.
        improvement: What an exception must add to the confidence of its rule where references prune.
        confidence: What the confidence of a rule must be where references prune.
        objectives: What is made better, by name (`emoprune list objectives`) or as mappings of a name and options.
        references: What a user would have picked: methods by name (`emoprune list references`), or mappings.
        select: The share of rows to choose from the front on.
        test: The share of rows to report on.
        split_seed: Another one cuts the rows otherwise.
    """

    data: str
    target: str | None = None
    ignore: Sequence[str] = ()
    categorical: Sequence[str] = ()
    groups: str | None = None
    time: str | None = None
    ratio: float = 0.5
    most: int = 50
    improvement: float = 0.02
    confidence: float = 0.75
    objectives: Sequence[str | Mapping[str, Any]] = ("inverse-brier", "literals", "uncovered")
    references: Sequence[str | Mapping[str, Any]] = ("confold", "improvement", "confidence", "random")
    select: float = 0.2
    test: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise ConfigError(f"ratio: expected a number between 0 and 1, found {self.ratio}")
        if not 1 <= self.most <= 1000:
            raise ConfigError(f"most: expected 1 to 1000 rules, found {self.most}")
        for name in ("improvement", "confidence"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected a number from 0 to below 1, found {getattr(self, name)}")

    @property
    def source(self) -> Source:
        """Where the table is read from, and what becomes of its columns."""
        wanted = Wanted("classification", tuple(self.categorical), tuple(self.ignore), ())
        return Source(self.data, self.target, self.groups, self.time, wanted)

    @property
    def cut(self) -> Splits:
        """How the rows are cut; the last quarter of those to search on is held out from learning."""
        kind: SplitKind = "time" if self.time is not None and self.groups is None else "auto"
        return Splits(kind, self.select, self.test, 1, self.split_seed)
