"""What a plug-in says of itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from emoprune.plugins.options import is_record, record_of

__all__ = ["meanings", "summary"]


def summary(factory: Callable[..., Any]) -> str:
    """Return the first line of a plug-in's documentation; empty if it has none of its own."""
    return _documentation(factory).partition("\n")[0]


def meanings(factory: Callable[..., Any]) -> dict[str, str]:
    """Return what the `Args:` of a plug-in's documentation say of each of its arguments, inherited ones first.

    Of a class with a record of options it is the records that say it.
    """
    record = record_of(factory)
    if not is_record(record):
        return _meanings(factory)
    found: dict[str, str] = {}
    for own in reversed(record.__mro__):
        found |= _meanings(own)
    return found


def _meanings(factory: Callable[..., Any]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name, _, block = "", *_documentation(factory).partition("\nArgs:\n")[1:]
    for line in block.splitlines():
        if line and not line.startswith(" "):
            break
        began = re.match(r"    (\w+): (.+)", line)
        if began:
            name = began[1]
            found[name] = [began[2]]
        elif name and line.strip():
            found[name].append(line.strip())
    return {argument: " ".join(words) for argument, words in found.items()}


def _documentation(factory: Callable[..., Any]) -> str:
    text = vars(factory).get("__doc__") if inspect.isclass(factory) else factory.__doc__
    return inspect.cleandoc(text) if text else ""
