"""Objectives that a config names, what is measured of them, and which of them are means over rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Failure, Measure, Objective, number_of
from emoprune.errors import ConfigError

__all__ = ["Measures"]


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures by name, in the order of the objectives.

    A measure says in its attribute `noisy` whether it is a mean over rows, which differs from block to block; one that
    does not say it is believed to be. In `worst` it may say from which value on it is worth measuring.
    """

    known: Mapping[str, Measure[Any]]

    @classmethod
    def of(cls, given: Sequence[str | Mapping[str, Any]], problem: str) -> Measures:
        """Return the measures that a config names; one that is imported is called by its attribute.

        Raises:
            ConfigError: There is none of that name, it does not serve the problem, is there twice, or there are none.
        """
        known: dict[str, Measure[Any]] = {}
        for own in given:
            name = plugins.named("objectives", own)[0].rpartition(":")[2]
            if name in known:
                raise ConfigError(f"objectives: expected each once, found {name!r} again")
            known[name] = plugins.method("objective", own, problem, option="objectives")
        if not known:
            raise ConfigError("objectives: expected one or more, found none; `emoprune list objectives` names them")
        return cls(known)

    def objectives(self, worst: Mapping[str, float] | None = None) -> tuple[Objective, ...]:
        """Return the objectives; `worst` says of some of them from which value on they are worth measuring."""
        shown = {name: getattr(each, "worst", None) for name, each in self.known.items()}
        shown |= {name: value for name, value in (worst or {}).items() if name in shown}
        return tuple(Objective(name, each.direction, each.unit, shown[name]) for name, each in self.known.items())

    @property
    def noisy(self) -> tuple[str, ...]:
        """The names of those that are means over rows."""
        return tuple(name for name, each in self.known.items() if getattr(each, "noisy", True))

    def row(self, seen: object) -> list[float] | Failure:
        """Return what all of them say of what is seen; a failure where one of them is no finite number."""
        values = {name: number_of(name, each, seen) for name, each in self.known.items()}
        wrong = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        return Failure(wrong[0]) if wrong else list(values.values())

    def rows(self, blocks: Sequence[object]) -> NDArray[np.float64] | Failure:
        """Return what all of them say of each block, shape (blocks, measures); a failure where one of them fails."""
        found = [self.row(seen) for seen in blocks]
        failed = [each for each in found if isinstance(each, Failure)]
        return failed[0] if failed else np.array(found, dtype=np.float64)
