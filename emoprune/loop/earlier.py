"""The config of a run that is gone on with: what its options meant when it was begun, and which may change."""

from __future__ import annotations

from typing import Any

from emoprune import plugins
from emoprune.plugins.options import record_of
from emoprune.run import Run

__all__ = ["config_of", "own_bounds"]


def config_of(run: Run) -> dict[str, Any]:
    """Return the config of a run as it is in force, in the words of this version.

    A problem whose options have come to mean something else says so in its record of options, by a function
    `of_earlier(resolved, objectives)`: it gets the options as they were resolved when the run was begun, with the names
    of the run's objectives, and returns them so that the run is measured as it was.
    """
    config = run.config
    given = config["problem"]
    of_earlier = _of_record(given["name"], "of_earlier")
    if of_earlier is None or not run.manifest.get("objectives"):
        return config
    names = [objective.name for objective in run.objectives]
    return {**config, "problem": dict(of_earlier(given, names))}


def own_bounds(problem: str) -> tuple[str, ...]:
    """Return the settings of a problem that a resume may change, as its record of options names them in `on_resume`."""
    return tuple(f"problem.{name}" for name in _of_record(problem, "on_resume") or ())


def _of_record(problem: str, name: str) -> Any:
    """Return what the record of options of an installed problem says; None if it does not."""
    if plugins.is_given(problem) or plugins.is_import_target(problem) or problem not in plugins.available("problem"):
        return None
    return getattr(record_of(plugins.find("problem", problem)), name, None)
