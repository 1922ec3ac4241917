"""Files and folders that a config names."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["located"]


def located(name: str) -> Path | None:
    """Return the file or folder of that name, from here or from where import targets are found; None if none is there.

    A config's own folder stands last among the places import targets are found in while its search is under way.
    """
    installed = {Path(sys.prefix), Path(sys.base_prefix)}
    own = [Path(place) for place in sys.path if place and not installed & {Path(place), *Path(place).parents}]
    return next((path for path in (folder / name for folder in (Path.cwd(), *reversed(own))) if path.exists()), None)
