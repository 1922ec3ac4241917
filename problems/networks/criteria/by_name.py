"""Criteria by name, for the problem whose units they rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune.errors import ConfigError
from emoprune.plugins import made

__all__ = ["CHANNELS", "criterion_named"]

CHANNELS = "channels"  # what a criterion serves that does not say


def criterion_named(given: str | Mapping[str, Any], served: str) -> Any:
    """Build a criterion from its name, or from a mapping of its name and options.

    Raises:
        ConfigError: There is none of that name, its options are wrong, or it does not rank what is `served`.
    """
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"criterion: expected a name, or a mapping with a name and options, found {given!r}")
    criterion = made("criterion", name, options)
    serves = tuple(getattr(criterion, "serves", (CHANNELS,)))
    if served not in serves:
        raise ConfigError(
            f"criterion: {name!r} ranks units of {', '.join(serves)}, not {served}; `emoprune list criteria` says "
            "which serve what"
        )
    return criterion
