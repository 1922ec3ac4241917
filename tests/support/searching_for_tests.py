"""A search from its beginning to its end, for tests that look at the run."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import emoprune

__all__ = ["copied_run", "searched_run"]

SEARCHED: dict[str, Path] = {}
PLACE = tempfile.TemporaryDirectory()  # goes with the process


def searched_run(settings: Mapping[str, Any] | str, **given: Any) -> emoprune.Run:
    """Search to the end, as `emoprune.search` is asked to, and return the run."""
    searching = emoprune.search(settings, **given)
    for _ in searching:
        pass
    return searching.run


def copied_run(settings: Mapping[str, Any], runs: Path, name: str) -> emoprune.Run:
    """Return a copy, which a test may damage, of a run that is searched for once with these settings and name."""
    asked = json.dumps([settings, name])
    if asked not in SEARCHED:
        SEARCHED[asked] = searched_run(settings, runs=Path(PLACE.name) / str(len(SEARCHED)), name=name).path
    return emoprune.Run(Path(shutil.copytree(SEARCHED[asked], runs / name)))
