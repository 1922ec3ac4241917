"""What the problem on training rows can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from emoprune.errors import ConfigError

__all__ = ["SampleOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """Which rows are pruned, what learns from them, and what is measured.

    Args:
        data: mnist-5k, fashion or a folder of images; a built-in table, a .csv, .tsv or .parquet file, or
            `package.module:function` that returns a frame, or a frame and the target. Free texts of a table are read as
            lengths and themes.
        target: The column of classes, unless the data brings its target.
        ignore: Patterns of columns that are left out.
        groups: A column whose rows of one value stay together.
        components: To how many principal components features are brought where there are more; the student sees these.
        student: What learns in closed form from the rows that stay: ridge, or knn by ten neighbours.
        penalty: Of ridge, on weights, for each row.
        teacher: ridge learns from all training rows by random features; none; or a .npy file of probabilities, a row
            for each training row.
        criteria: How hard a row is: methods by name (`emoprune list criteria`), or mappings.
        objectives: What is made better, by name (`emoprune list objectives`), or mappings.
        references: What a user would have picked: methods by name (`emoprune list references`), or mappings.
        select: The share of rows to choose from the front on; of images their own parts are taken.
        test: The share of rows to report on.
        split_seed: Another one cuts the rows otherwise.
    """

    data: str
    target: str | None = None
    ignore: Sequence[str] = ()
    groups: str | None = None
    components: int = 64
    student: Literal["ridge", "knn"] = "ridge"
    penalty: float = 1e-3
    teacher: str = "ridge"
    criteria: Sequence[str | Mapping[str, Any]] = ("el2n", "forgetting", "gradient-norm", "centroid-distance")
    objectives: Sequence[str | Mapping[str, Any]] = ("error", "rows")
    references: Sequence[str | Mapping[str, Any]] = ("random", "hardest")
    select: float = 0.2
    test: float = 0.2
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.components <= 1000:
            raise ConfigError(f"components: expected 2 to 1,000, found {self.components}")
        if not 0 < self.penalty < float("inf"):
            raise ConfigError(f"penalty: expected a number above 0, found {self.penalty}")
        if not self.criteria:
            raise ConfigError("criteria: expected one or more ways to say how hard a row is, found none")
