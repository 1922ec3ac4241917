"""Where criteria stand in the surveys of the field, and what stays empty there, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune import plugins
from emoprune.errors import ConfigError, ContractError, EmopruneError

__all__ = ["leaf_of", "taxonomies"]


def leaf_of(criterion: str) -> str | None:
    """Return where a criterion stands; None where it does not say so, or cannot be imported."""
    try:
        leaf = getattr(plugins.find("criterion", criterion), "leaf", None)
    except ConfigError:
        return None  # why it cannot be imported is said already
    return None if leaf is None else str(leaf)


def taxonomies() -> dict[str, Any]:
    """Return every leaf of every taxonomy with the criteria that cover it, or the reason why none does."""
    by_leaf: dict[str, list[str]] = {}
    for name in plugins.available("criterion"):
        leaf = leaf_of(name)
        if leaf is not None:
            by_leaf.setdefault(leaf, []).append(name)
    leaves: dict[str, Any] = {}
    unusable = {}
    for taxonomy in plugins.available("taxonomy"):
        try:
            reasons = _leaves(taxonomy)
        except EmopruneError as error:
            unusable[taxonomy] = str(error)
            continue
        for leaf, reason in reasons.items():
            leaves[leaf] = by_leaf.get(leaf) or f"not covered: {reason or 'no installed criterion'}"
    leaves |= {leaf: names for leaf, names in by_leaf.items() if leaf not in leaves}
    return {"leaves": leaves, **({"unusable": unusable} if unusable else {})}


def _leaves(taxonomy: str) -> dict[str, str]:
    leaves = getattr(plugins.find("taxonomy", taxonomy), "LEAVES", None)
    if not isinstance(leaves, Mapping):
        raise ContractError(f"taxonomy {taxonomy!r}: expected LEAVES, a mapping of leaves to reasons, found {leaves!r}")
    return {str(leaf): str(reason) for leaf, reason in leaves.items()}
