"""A search from its beginning to its end, for tests that look at the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import emoprune

__all__ = ["searched_run"]


def searched_run(settings: Mapping[str, Any] | str, **given: Any) -> emoprune.Run:
    """Search to the end, as `emoprune.search` is asked to, and return the run."""
    searching = emoprune.search(settings, **given)
    for _ in searching:
        pass
    return searching.run
