"""Listening to a forward: to its calls as they are written, and to the operations that they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from emoprune.problems.networks.coupling.following.axes import Axes
from emoprune.problems.networks.coupling.following.numbers import Number, numbers_in

__all__ = ["Functions", "Operations"]


class Follows(Protocol):
    """Whom is listened for: it is told the numbers and the name of each call, and runs each operation."""

    numbers: tuple[Number, ...]
    function: str
    stays: NDArray[np.bool_] | None

    def axes(self, value: object, /) -> Axes | None:
        """Return the axes of a tensor."""

    def run(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], /) -> Any:
        """Run one operation."""


class Functions(TorchFunctionMode):
    """Sees calls as they are written: which numbers stand in them, and shapes that are read."""

    def __init__(self, follower: Follows) -> None:
        super().__init__()
        self._follower = follower

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        follower, own = self._follower, kwargs or {}
        name = getattr(function, "__name__", "")
        if name in {"__get__", "size"}:
            return _remembering(function(*args, **own))
        outer = follower.numbers, follower.function
        follower.numbers, follower.function = tuple(numbers_in((*args, *own.values()))), name
        try:
            if name == "scaled_dot_product_attention":
                own = _scaled(follower, args, own)
            return function(*args, **own)
        finally:
            follower.numbers, follower.function = outer


def _scaled(follower: Follows, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of an attention with the scale that it has over the channels that stay."""
    axes = follower.axes(args[0]) if args else None
    if follower.stays is None or not axes or axes[-1] is None or kwargs.get("scale") is not None:
        return kwargs
    return {**kwargs, "scale": float(follower.stays[axes[-1]].sum()) ** -0.5}


def _remembering(found: Any) -> Any:
    if isinstance(found, torch.Size):
        return torch.Size([Number(each) for each in found])
    return Number(found) if type(found) is int else found


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch ships no types for it
    """Sees what calls come to: torch's own operations, one at a time."""

    def __init__(self, follower: Follows) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._follower = follower

    def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._follower.run(function, tuple(args), kwargs or {})
