"""A small instance of the problem on reservoirs, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune import plugins
from emoprune.problems.reservoir.problem import ReservoirProblem

__all__ = ["sample"]

Given = str | Mapping[str, Any]


def sample(objectives: Sequence[Given] = (), criterion: Given | None = None, **options: Any) -> ReservoirProblem:
    """Return a reservoir of twenty neurons that forecasts 500 steps, its edges and other `objectives` measured."""
    named = [plugins.named("objectives", own)[0] for own in objectives]
    always = [name for name in ("nmse", "edges") if name not in named]
    criteria = ["slowness"] if criterion is None else [criterion]
    small = {"length": 500, "neurons": 20, "connectivity": 0.3, "washout": 40, "criteria": criteria}
    return ReservoirProblem(**{**small, "objectives": [*always, *objectives], **options})
