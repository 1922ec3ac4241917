"""emoprune: evolutionary multi-objective search for pruning.

>>> import emoprune
>>> for generation in emoprune.search("digits"):      # doctest: +SKIP
...     print(generation.index, generation.hypervolume)
>>> run = emoprune.open_run("runs/latest")            # doctest: +SKIP
>>> run.pareto                                        # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emoprune.errors import EmopruneError

if TYPE_CHECKING:
    from emoprune.loop.search import Search, resume, search
    from emoprune.run import Run, open_run

    __version__: str

__all__ = ["EmopruneError", "Run", "Search", "__version__", "open_run", "resume", "search"]

_HOMES = {"search": "emoprune.loop.search", "resume": "emoprune.loop.search", "Search": "emoprune.loop.search"}
_HOMES |= {"open_run": "emoprune.run", "Run": "emoprune.run"}


def __getattr__(name: str) -> object:
    """Load what is asked for on first use, so that `import emoprune` takes no time."""
    if name == "__version__":
        from importlib.metadata import version  # a fifth of what `emoprune --help` would import

        return version("emoprune")
    if name not in _HOMES:
        raise AttributeError(f"module 'emoprune' has no attribute {name!r}")
    from importlib import import_module  # part of the lazy loading

    return getattr(import_module(_HOMES[name]), name)
