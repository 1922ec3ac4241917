"""A small instance of the problem on Gaussians, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune import plugins
from emoprune.problems.gaussians.problem import GaussiansProblem

__all__ = ["sample"]

Given = str | Mapping[str, Any]


def sample(objectives: Sequence[Given] = (), criterion: Given | None = None, **options: Any) -> GaussiansProblem:
    """Return forty Gaussians of a small image, measured by their squared error, their count and other `objectives`."""
    named = [plugins.named("objectives", own)[0] for own in objectives]
    always = [name for name in ("mse", "count") if name not in named]
    criteria = ["opacity"] if criterion is None else [criterion]
    small = {"data": "rings", "size": 24, "gaussians": 40, "steps": 15, "criteria": criteria}
    return GaussiansProblem(**{**small, "objectives": [*always, *objectives], **options})
