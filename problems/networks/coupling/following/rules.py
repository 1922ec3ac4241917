"""Which rule each operation of torch has, by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from emoprune.problems.networks.coupling.following import cutting, elementwise, folding, products, reducing, views
from emoprune.problems.networks.coupling.following.axes import Axes
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.follower import Rule
from emoprune.problems.networks.coupling.following.kept import Selected

__all__ = ["rule_of", "selecting"]

_BY_NAME: Mapping[str, Rule] = {
    **elementwise.RULES,
    **views.RULES,
    **cutting.RULES,
    **folding.RULES,
    **products.RULES,
    **reducing.RULES,
}


def rule_of(name: str, function: Any) -> Rule | None:
    """Return the rule of an operation named as in torch, `view.default`; None where none is known."""
    plain = name.partition(".")[0]
    found = _BY_NAME.get(plain)
    if found is not None:
        return found
    spatial = elementwise.spatial_rule(plain)
    if spatial is not None:
        return spatial
    return elementwise.pointwise if _is_pointwise(plain, function) else None


def _is_pointwise(plain: str, function: Any) -> bool:
    """Whether torch says so of an operation, or of the one that it is the form of that writes into its argument."""
    if torch.Tag.pointwise in function.tags:
        return True
    packet = getattr(torch.ops.aten, plain.removesuffix("_"), None)
    return any(torch.Tag.pointwise in getattr(packet, name).tags for name in packet.overloads()) if packet else False


def selecting(call: Call, axes: Sequence[Axes | None]) -> tuple[Selected, Selected]:
    """Return the axes over which an operation computes, and those over which it only sums, by argument."""
    return reducing.selection(call, axes), reducing.summing(call, axes)
