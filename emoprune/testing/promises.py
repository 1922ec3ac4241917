"""How a broken promise is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from emoprune.errors import ContractError

__all__ = ["require", "require_all", "require_plain"]


def require(kept: bool, expected: str, found: object) -> None:
    """Raise unless a promise is kept.

    Raises:
        ContractError: It is not; the message says what was expected and what was found.
    """
    if not kept:
        raise ContractError(f"{expected}; found {found}")


def require_all(members: Sequence[object], kind: type, source: str) -> None:
    """Raise unless every member is of `kind`."""
    wrong = [member for member in members if not isinstance(member, kind)]
    require(not wrong, f"{source}: expected only {kind.__name__}", wrong)


def require_plain(said: object, source: str) -> None:
    """Raise unless `said` maps text to text and finite numbers that JSON can hold."""
    require(isinstance(said, Mapping), f"{source}: expected a mapping", repr(said))
    wrong = {name: value for name, value in dict(said).items() if not _is_plain(name, value)}  # type: ignore[call-overload]  # a mapping, as just required
    require(not wrong, f"{source}: expected only text, int and finite float (not numpy's int) under text", wrong)


def _is_plain(name: object, value: object) -> bool:
    if not isinstance(name, str) or not isinstance(value, str | int | float):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
