"""Small instances of the problems on tables, on which methods are tried: of data that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune import plugins
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.problems.tables.subsets.features import Features

__all__ = ["feature_subset", "features", "tabular_stream"]

Given = Sequence[str | Mapping[str, Any]]

RATIO = {"operator": "divide", "inputs": [{"column": "petal length"}, {"column": "petal width"}]}
REFERENCES = ("mutual-information",)
QUICK: Mapping[str, Any] = {"learner": "logistic", "folds": 2}


def _costs(objectives: Given) -> Given:
    named = [plugins.named("objectives", own)[0] for own in objectives]
    return objectives if "columns" in named else ["columns", *objectives]


def feature_subset(objectives: Given = (), references: Given = REFERENCES, **options: Any) -> FeatureSubset:
    """Return a problem of four columns and a new feature, whose costs are the columns and other `objectives`."""
    costs = _costs(objectives)
    given = {**QUICK, "data": "iris", "formulas": [RATIO], "costs": costs, "references": references, **options}
    return FeatureSubset(**given)


def features(objectives: Given = (), references: Given = REFERENCES, **options: Any) -> Features:
    """Return a problem of four columns and six new features, whose costs are the columns and other `objectives`."""
    small = {"mode": "select", "budget": 30, "survivors": 6, "slots": 2, "others": 4}
    costs = _costs(objectives)
    return Features(**{**QUICK, **small, "data": "iris", "costs": costs, "references": references, **options})


def tabular_stream(objectives: Given = ("changes",), **options: Any) -> TabularStream:
    """Return a stream of thirty columns in eight windows, whose costs are the columns and other `objectives`."""
    given = {"data": "breast-cancer", "window": 64, "learner": "logistic", "costs": _costs(objectives), **options}
    return TabularStream(**given)
