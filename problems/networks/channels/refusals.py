"""Why a network's channels cannot be pruned, in words that say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.checking import NOT_RUNNING
from emoprune.problems.networks.coupling.structure import Structure

__all__ = ["check_prunable"]

NAMED = 3  # layers that are named before they are only counted


def check_prunable(structure: Structure) -> None:
    """Refuse a network without channels to prune, or of which some coupling groups cannot be sliced.

    Raises:
        ConfigError: It names them, the reasons, and what to write into `ignore`.
    """
    if structure.broken:
        raise ConfigError(_broken(structure))
    if not structure.groups:
        raise ConfigError(f"network: it has no channels that can be pruned ({_why_whole(structure)})")


def _why_whole(structure: Structure) -> str:
    """Return the reasons why channels stay, each with the layers that it holds for."""
    paths: dict[str, list[str]] = {}
    for whole in structure.wholes:
        paths.setdefault(whole.reason, []).append(whole.path)
    return "; ".join(f"{_named(own)}: {reason}" for reason, own in paths.items()) or "it has no layers"


def _named(paths: Sequence[str]) -> str:
    few = ", ".join(paths[:NAMED])
    return few if len(paths) <= NAMED else f"{few} and {len(paths) - NAMED} more"


def _broken(structure: Structure) -> str:
    reasons = "; ".join(f"{name}: {reason}" for name, reason in structure.broken.items())
    patterns = sorted(
        {path for group in structure.groups if group.name in structure.broken for path in group.producers}
    )
    return (
        f"network: {len(structure.broken)} of its {len(structure.groups)} coupling groups cannot be sliced "
        f"({reasons}). {_usual_cause(structure.broken)} Or leave them whole with `ignore: [{', '.join(patterns)}]`"
    )


def _usual_cause(broken: Mapping[str, str]) -> str:
    if any(NOT_RUNNING in reason for reason in broken.values()):
        return (
            "Where the sliced network does not run, a size is usually written into its forward, as in "
            "x.view(-1, 400) or x.split([8, 8], 1): take it from the tensor, as x.flatten(1) and x.shape[1] // 2 do."
        )
    return (
        "Where its outputs are others, channels are usually mixed in a way that the dependency graph does not see, as "
        "a channel shuffle or a normalisation across channels does: change the network."
    )
