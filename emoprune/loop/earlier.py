"""The config of a run that an earlier version began, with what its options meant then."""

from __future__ import annotations

from typing import Any

from emoprune import plugins
from emoprune.plugins.options import record_of
from emoprune.run import Run

__all__ = ["config_of"]


def config_of(run: Run) -> dict[str, Any]:
    """Return the config of a run as it is in force, in the words of this version.

    A problem whose options have come to mean something else says so in its record of options, by a function
    `of_earlier(resolved, objectives)`: it gets the options as they were resolved when the run was begun, with the names
    of the run's objectives, and returns them so that the run is measured as it was.
    """
    config = run.config
    given = config["problem"]
    name = given["name"]
    if plugins.is_given(name) or plugins.is_import_target(name) or name not in plugins.available("problem"):
        return config
    of_earlier = getattr(record_of(plugins.find("problem", name)), "of_earlier", None)
    if of_earlier is None or not run.manifest.get("objectives"):
        return config
    names = [objective.name for objective in run.objectives]
    return {**config, "problem": dict(of_earlier(given, names))}
