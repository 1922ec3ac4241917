"""Gradient-boosted trees by LightGBM on columns that are binned once and shared by all subsets.

Source: Ke, Meng, Finley, Wang, Chen, Ma, Ye, Liu, LightGBM: a highly efficient gradient boosting decision tree, 2017.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import MEGABYTE, Computed, Kept, is_category
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.contract import training_weights
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Table, Task

__all__ = ["BoostedTrees", "TreeOptions", "binned_column", "binned_table", "grown", "joined", "parameters"]

FloatArray = NDArray[np.float64]

OVERHEAD = 50_000  # bytes that LightGBM keeps for a column beside its rows, measured
MANY_ROWS = 5000
STAGES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the trees
WIDE = 400  # columns, beyond which keeping each one costs more than binning them all again


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """How trees are grown: their number, leaves each, learning rate, rows per leaf, bins per column, equal classes.

    `columns_per_tree` is the share of the columns that each tree is grown on, drawn anew for each.

    Without a number of trees or leaves there are 60 trees of 8 leaves for fewer than 5,000 rows to learn on, and 100 of
    15 for more.
    """

    trees: int | None = None
    leaves: int | None = None
    rate: float = 0.1
    rows_per_leaf: int = 10
    bins: int = 63
    columns_per_tree: float = 1.0
    balanced: bool = False

    def __post_init__(self) -> None:
        for name, least in (("trees", 1), ("leaves", 2), ("rows_per_leaf", 1), ("bins", 2)):
            given = getattr(self, name)
            if given is not None and given < least:
                raise ConfigError(f"learner: {name}: expected at least {least}, found {getattr(self, name)}")
        for name in ("rate", "columns_per_tree"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"learner: {name}: expected more than 0 and at most 1, found {getattr(self, name)}")

    def of_rows(self, rows: int) -> tuple[int, int]:
        """Return how many trees of how many leaves are grown on so many rows."""
        trees, leaves = (60, 8) if rows < MANY_ROWS else (100, 15)
        return self.trees or trees, self.leaves or leaves


def parameters(options: TreeOptions, table: Table, rows: int, threads: int, seed: int) -> dict[str, Any]:
    """Return LightGBM's parameters for one training, reproducible to the bit with one number of threads."""
    objectives = {Task.BINARY: "binary", Task.MULTICLASS: "multiclass", Task.REGRESSION: "regression"}
    found: dict[str, Any] = {
        "objective": objectives[table.task],
        "num_leaves": options.of_rows(rows)[1],
        "learning_rate": options.rate,
        "feature_fraction": options.columns_per_tree,
        # A tenth of few rows, so that a small table is not left without any split.
        "min_data_in_leaf": max(1, min(options.rows_per_leaf, rows // 10)),
        "max_bin": options.bins,
        "min_data_in_bin": 1,
        "feature_pre_filter": False,  # the bins are shared by trainings, which may ask for other leaves
        "deterministic": True,
        "force_row_wise": True,  # otherwise it is chosen by a stop-watch
        "num_threads": threads,
        "seed": seed % 2**31,
        "verbose": -1,
    }
    return found | ({"num_class": len(table.classes)} if table.task is Task.MULTICLASS else {})


def binned_column(computed: Computed, term: Term, block: Block, given: dict[str, Any]) -> lightgbm.Dataset:
    """Return one feature of the block's training rows in LightGBM's bins."""
    column = computed.matrix((term,), block, block.train)
    categories = [0] if is_category(term, computed.table) else []
    return lightgbm.Dataset(column, params=given, categorical_feature=categories).construct()


def binned_table(computed: Computed, terms: Sequence[Term], block: Block, given: dict[str, Any]) -> lightgbm.Dataset:
    """Return features of the block's training rows in the same bins, made all at once and not kept."""
    matrix = computed.matrix(terms, block, block.train)
    categories = [place for place, term in enumerate(terms) if is_category(term, computed.table)]
    return lightgbm.Dataset(matrix, params=given, categorical_feature=categories).construct()


def joined(
    columns: Iterable[lightgbm.Dataset], target: FloatArray, weights: FloatArray | None = None
) -> lightgbm.Dataset:
    """Return columns side by side, with the target: their bins are copied, not made again; at least one."""
    each = iter(columns)
    whole = next(each).subset(list(range(len(target)))).construct()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the numbers are gone once they are binned, and that is said for each column
        for column in each:
            whole.add_features_from(column)
    whole.set_label(target)
    whole.set_weight(weights)
    return whole


def grown(booster: lightgbm.Booster, trees: int) -> lightgbm.Booster:
    """Grow at most so many trees; fewer where no split is left."""
    for _ in range(trees):
        if booster.update():
            break
    return booster


class BoostedTrees:
    """LightGBM as a learner.

    Args:
        options: How trees are grown.
        threads: How many threads it uses.
        megabytes: How much memory binned columns may take.
    """

    def __init__(self, options: TreeOptions, threads: int = 1, megabytes: float = 256.0) -> None:
        self.options = options
        self.threads = threads
        self._most = int(megabytes * MEGABYTE)
        self._binned: Kept[lightgbm.Dataset] = Kept(self._most)
        self._of: Computed | None = None

    def fitted(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> TreeModel:
        """Return trees trained on the block's training rows with these features."""
        booster, trees = self._booster(computed, block, terms, seed)
        return TreeModel(grown(booster, trees), self.threads)

    def stages(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> Iterator[TreeModel]:
        """Yield the model after a quarter of its trees, half of them, all, twice and four times as many."""
        booster, trees = self._booster(computed, block, terms, seed)
        for part in STAGES:
            grown(booster, max(1, int(trees * part)) - booster.current_iteration())
            yield TreeModel(booster, self.threads)

    def _booster(
        self, computed: Computed, block: Block, terms: Sequence[Term], seed: int
    ) -> tuple[lightgbm.Booster, int]:
        """Return a booster without trees, and how many it is to have."""
        rows = len(block.train)
        given = parameters(self.options, computed.table, rows, self.threads, seed)
        weights = training_weights(computed.table, block, balanced=self.options.balanced)
        target = computed.table.target[block.train]
        if len(terms) > WIDE:
            whole = binned_table(computed, terms, block, given)
            whole.set_label(target)
            whole.set_weight(weights)
        else:
            whole = joined(self._parts(computed, terms, block, given), target, weights)
        return lightgbm.Booster(given, whole), self.options.of_rows(rows)[0]

    def _parts(
        self, computed: Computed, terms: Sequence[Term], block: Block, given: dict[str, Any]
    ) -> Iterator[lightgbm.Dataset]:
        """Yield each feature in bins; where they begin with all columns of the table, these first and in one piece."""
        columns = computed.table.terms
        together = 1 < len(columns) <= len(terms) and tuple(terms[: len(columns)]) == columns
        if together:
            yield self._columns(computed, block, given)
        for term in terms[len(columns) if together else 0 :]:
            yield self._column(computed, term, block, given)

    def _columns(self, computed: Computed, block: Block, given: dict[str, Any]) -> lightgbm.Dataset:
        """Return all columns of the table side by side."""
        kept = self._kept_of(computed)
        found = kept.get(block.key)
        if found is not None:
            return found
        columns, rows = computed.table.terms, len(block.train)
        whole = joined((binned_column(computed, term, block, given) for term in columns), np.zeros(rows))
        return kept.put(block.key, whole, len(columns) * (rows + OVERHEAD))

    def _kept_of(self, computed: Computed) -> Kept[lightgbm.Dataset]:
        if self._of is not computed:
            self._of, self._binned = computed, Kept(self._most)
        return self._binned

    def _column(self, computed: Computed, term: Term, block: Block, given: dict[str, Any]) -> lightgbm.Dataset:
        kept, key = self._kept_of(computed), (block.key, term)
        found = kept.get(key)
        if found is not None:
            return found
        return kept.put(key, binned_column(computed, term, block, given), len(block.train) + OVERHEAD)


@dataclass(frozen=True, slots=True, eq=False)
class TreeModel:
    """Trained trees."""

    booster: lightgbm.Booster
    threads: int

    @property
    def importances(self) -> FloatArray:
        """The gain of all splits by input."""
        return np.asarray(self.booster.feature_importance("gain"), dtype=np.float64)

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return numbers, shape (n,), or probabilities, shape (n, classes)."""
        found = np.asarray(self.booster.predict(inputs, num_threads=self.threads))
        if self.booster.params["objective"] == "binary":
            return np.column_stack([1 - found, found])
        return found

    def write(self, folder: Path) -> str | None:
        """Write LightGBM's own text form."""
        self.booster.save_model(folder / "model.txt")
        return "model.txt"
