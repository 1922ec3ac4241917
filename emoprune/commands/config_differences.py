"""In what the configs of several runs differ, and which of them are the same search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["alike", "differing", "flat"]

# What makes two runs no different search: where it was computed, how it is called, and chance.
SAME_SEARCH = ("name", "config_version", "search.seed", "evaluation.")


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config's values by their whole keys, as in `search.seed`."""
    return dict(_leaves(config, ""))


def _leaves(plain: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(plain, Mapping) and plain:
        for key, value in plain.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, plain


def alike(configs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return a number for each config, the same for those that differ in nothing but chance and place."""
    searches: list[dict[str, Any]] = []
    groups = []
    for config in configs:
        own = {key: value for key, value in config.items() if not key.startswith(SAME_SEARCH)}
        if own not in searches:
            searches.append(own)
        groups.append(searches.index(own))
    return groups


def differing(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return each key that is not the same in all, but the name, with its value in each; None where it has none."""
    keys = dict.fromkeys(key for config in configs for key in config)
    found = {key: [config.get(key) for config in configs] for key in keys if key != "name"}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values)}
