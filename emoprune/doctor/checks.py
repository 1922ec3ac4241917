"""One thing that was looked at: how it is, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Check", "Health", "worst"]


class Health(StrEnum):
    """Whether something is as it should be: `warn` can be lived with, `fail` cannot."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, what was found, and how to mend it; `fix` is empty where nothing need be done."""

    name: str
    health: Health
    found: str
    fix: str = ""

    @classmethod
    def judged(cls, name: str, found: str, *, warn: bool = False, fail: bool = False, fix: str = "") -> Check:
        """Return a check that fails or warns as said, else is ok; the fix is kept only where it is needed."""
        health = Health.FAIL if fail else Health.WARN if warn else Health.OK
        return cls(name, health, found, fix if health is not Health.OK else "")

    def as_json(self) -> dict[str, Any]:
        """Return the plain form."""
        return {**asdict(self), "health": self.health.value}


def worst(checks: Sequence[Check]) -> Health:
    """Return the worst health among some checks."""
    return max((check.health for check in checks), key=list(Health).index, default=Health.OK)
