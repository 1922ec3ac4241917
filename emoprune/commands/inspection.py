"""The pre-flight of a problem: what can be pruned of it and how far, said before any search."""

from __future__ import annotations

from typing import Any

from emoprune.commands.questions import Question, answered, offers_no
from emoprune.config import Config
from emoprune.contracts import Checking, Inspected, Inspection
from emoprune.loop.build import build_problem
from emoprune.plugins import importable_from

__all__ = ["inspect"]


def inspect(config: Config) -> dict[str, Any]:
    """Return what the config's problem says of itself, as plain data; nothing is prepared, trained or measured.

    Raises:
        ConfigError: The problem cannot be made, or offers no inspection.
    """
    with importable_from(*config.origin.folders):
        problem = build_problem(config)
        if not isinstance(problem, Inspected):
            raise offers_no(problem, "inspect", "inspection")
        if isinstance(problem, Checking):
            problem.check()
        found = answered(Question.of(problem.inspect, ()), (), Inspection)
    return {
        "problem": config.problem.name,
        "summary": dict(found.summary),
        "tables": {title: [dict(row) for row in rows] for title, rows in found.tables.items()},
        "notes": list(found.notes),
    }
