"""What plain data must look like, key by key: small checks that are put together, and name the key that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from emoprune.errors import RunCorrupt

__all__ = [
    "ANYTHING",
    "Shape",
    "cell",
    "flag",
    "listed",
    "mapped",
    "maybe",
    "members",
    "moment",
    "number",
    "one_of",
    "text",
    "whole",
]

Shape = Callable[[Any, str], None]
"""Checks a value that lies under a dotted key.

Raises:
    RunCorrupt: It is something else; the message names the key, what was expected, and what was found.
"""

LONGEST = 40  # characters of what was found
LARGEST = 2**64  # a whole number is below it: seeds take 64 bits
MAGNITUDE = 1e308  # a number that is whole may have more digits than a float can hold


def _found(key: str, expected: str, value: object) -> RunCorrupt:
    words = {dict: "an object", list: "a list", type(None): "null"}.get(type(value)) or repr(value)[:LONGEST]
    return RunCorrupt(f"{key or 'the whole'}: expected {expected}, found {words}")


def _anything(value: Any, key: str) -> None:
    pass


ANYTHING: Shape = _anything


def text(value: Any, key: str) -> None:
    """Check that it is a text."""
    if not isinstance(value, str):
        raise _found(key, "a text", value)


def flag(value: Any, key: str) -> None:
    """Check that it is true or false."""
    if not isinstance(value, bool):
        raise _found(key, "true or false", value)


def whole(value: Any, key: str) -> None:
    """Check that it is a whole number that is not negative."""
    if type(value) is not int or not 0 <= value < LARGEST:
        raise _found(key, "a whole number from 0", value)


def number(value: Any, key: str) -> None:
    """Check that it is a finite number."""
    if type(value) not in (int, float) or not -MAGNITUDE < value < MAGNITUDE:
        raise _found(key, "a finite number", value)


def cell(value: Any, key: str) -> None:
    """Check that it can stand in a table: a text, a finite number, true, false or null."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number(value, key)
    elif value is not None and not isinstance(value, str | bool):
        raise _found(key, "a text or a number", value)


def moment(value: Any, key: str) -> None:
    """Check that it is a date with a time and a zone, as ISO 8601 has it."""
    try:
        known = datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        known = False
    if not known:
        raise _found(key, "a time in a zone, such as 2026-11-23T14:06:30+00:00", value)


def maybe(shape: Shape) -> Shape:
    """Return a check that null passes too."""

    def check(value: Any, key: str) -> None:
        if value is not None:
            shape(value, key)

    return check


def one_of(kinds: type[StrEnum]) -> Shape:
    """Return a check for one of an enumeration's words."""
    words = {kind.value for kind in kinds}

    def check(value: Any, key: str) -> None:
        if not isinstance(value, str) or value not in words:
            raise _found(key, f"one of {', '.join(sorted(words))}", value)

    return check


def listed(shape: Shape) -> Shape:
    """Return a check for a list of such values."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, list):
            raise _found(key, "a list", value)
        for position, each in enumerate(value):
            shape(each, f"{key}[{position}]")

    return check


def mapped(shape: Shape, keys: Callable[[str], bool] = lambda _: True) -> Shape:
    """Return a check for an object with such values under any keys, or such `keys`."""

    def check(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise _found(key, "an object", value)
        for name, each in value.items():
            if not keys(name):
                raise RunCorrupt(f"{_under(key, name)}: this is no key that can stand here")
            shape(each, _under(key, name))

    return check


def members(required: Mapping[str, Shape], optional: Mapping[str, Shape] | None = None) -> Shape:
    """Return a check for an object with these members; what a newer version adds is passed over."""
    needed, others = tuple(required.items()), tuple((optional or {}).items())

    def check(value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise _found(key, "an object", value)
        for name, shape in needed:
            if name not in value:
                raise RunCorrupt(f"{_under(key, name)}: expected this key, found {_listing(value)}")
            shape(value[name], f"{key}.{name}" if key else name)
        for name, shape in others:
            if name in value:
                shape(value[name], _under(key, name))

    return check


def _under(key: str, name: str) -> str:
    return f"{key}.{name[:LONGEST]}" if key else name[:LONGEST]


def _listing(names: Iterable[str]) -> str:
    return ", ".join(name[:LONGEST] for name in list(names)[:12]) or "no keys"
