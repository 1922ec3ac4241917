"""A small instance of the problem on training rows, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune import plugins
from emoprune.problems.samples.problem import SamplesProblem

__all__ = ["sample"]

Given = str | Mapping[str, Any]


def sample(objectives: Sequence[Given] = (), criterion: Given | None = None, **options: Any) -> SamplesProblem:
    """Return the rows of a table of three classes, with the student's error, how many stay and other `objectives`."""
    named = [plugins.named("objectives", own)[0] for own in objectives]
    always = [name for name in ("error", "rows") if name not in named]
    criteria = ["el2n"] if criterion is None else [criterion]
    return SamplesProblem(**{"data": "wine", "criteria": criteria, "objectives": [*always, *objectives], **options})
