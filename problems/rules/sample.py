"""A small instance of the problem on rules, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune import plugins
from emoprune.problems.rules.problem import RulesProblem

__all__ = ["sample"]


def sample(objectives: Sequence[str | Mapping[str, Any]] = (), **options: Any) -> RulesProblem:
    """Return rules of 178 rows in three classes, measured by their score, their literals and other `objectives`."""
    named = [plugins.named("objectives", own)[0] for own in objectives]
    always = [name for name in ("inverse-brier", "literals") if name not in named]
    return RulesProblem(**{"data": "wine", "objectives": [*always, *objectives], **options})
