"""The references of a run: made once and kept, and more of them picked from what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emoprune import plugins
from emoprune.contracts import MeasuredErrors, Reference, Starts
from emoprune.errors import ContractError
from emoprune.problems.storage.found_references import Methods, picked_by
from emoprune.problems.storage.kept import kept_json
from emoprune.problems.storage.kept_references import REFERENCES, as_json, from_json
from emoprune.space import IntArray, Space

__all__ = ["KeptReferences"]

First = tuple[tuple[Reference, ...], Mapping[str, Starts]]  # and what is to be measured for more, by method


class KeptReferences:
    """What a problem's methods find without a search.

    Args:
        given: The methods, as a config names them.
        problem: The name of the problem that asks.

    Raises:
        ConfigError: There is no such method, it does not serve the problem, or an option is wrong.
    """

    def __init__(self, given: Sequence[str | Mapping[str, Any]], problem: str) -> None:
        once = [own for place, own in enumerate(given) if own not in given[:place]]  # named twice is asked once
        self.methods: Methods = plugins.methods("reference", once, problem, option="references")
        self._found: tuple[Reference, ...] | None = None
        self._starts: Mapping[str, Starts] = {}

    def keep(self, folder: Path, space: Space, made: Callable[[Methods], First]) -> None:
        """Take the references from `folder`, or make them and keep them there."""
        plain = kept_json(folder / REFERENCES, lambda: as_json(*made(self.methods)))
        self._found, self._starts = from_json(plain, space)

    @property
    def found(self) -> tuple[Reference, ...]:
        """The unpruned genome, then what was found without measuring.

        Raises:
            ContractError: Nothing was kept yet.
        """
        if self._found is None:
            raise ContractError("there are no references yet; call prepare(folder, seed) first")
        return self._found

    def starts(self, genes: int) -> IntArray:
        """Return what has to be measured for more references, shape (n, genes)."""
        every = [genomes for own in self._starts.values() for genomes in own.values()]
        return np.concatenate([np.zeros((0, genes), dtype=np.int64), *every])

    def picked(self, inputs: Callable[[], Any], measured: MeasuredErrors) -> list[Reference]:
        """Return more references, from the errors of the starts; `inputs` returns what methods look at."""
        return picked_by(self.methods, inputs(), self._starts, measured) if self._starts else []
