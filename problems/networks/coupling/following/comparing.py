"""Where a sliced network first computes something else than the masked one: the operation and the line of code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from emoprune.problems.networks.coupling.following.axes import Axes
from emoprune.problems.networks.coupling.following.places import place_of_call

__all__ = ["Sums", "first_difference", "sums_of"]

SAME = {torch.float64: 1e-9, torch.float32: 1e-4}  # relative


@dataclass(frozen=True, slots=True)
class Sums:
    """What one operation gave: its name, shape, sums of values and of their sizes, and how far these may be apart."""

    name: str
    shape: tuple[int, ...]
    values: float
    sizes: float
    same: float

    def agrees(self, other: Sums) -> bool:
        """Whether both are of the same values but for another order of sums."""
        allowed = self.same * max(self.sizes, 1e-30)
        near = abs(self.values - other.values) <= allowed and abs(self.sizes - other.sizes) <= allowed
        return self.shape == other.shape and near


def sums_of(name: str, given: Sequence[Any], output: Any, axes: Axes, stays: NDArray[np.bool_] | None) -> Sums | None:
    """Return the sums of what an operation gave to channels that stay; None if it took no tensor, or gave none."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor) or not first.is_floating_point() or not _any_tensor(given):
        return None
    for axis, labels in enumerate(axes if stays is not None else ()):
        if labels is not None and stays is not None and not stays[labels].all():
            first = first.index_select(axis, torch.from_numpy(np.flatnonzero(stays[labels])))
    same = SAME.get(first.dtype, max(SAME.values()))
    return Sums(name, tuple(first.shape), float(first.double().sum()), float(first.double().abs().sum()), same)


def _any_tensor(given: Sequence[Any]) -> bool:
    return any(isinstance(each, Tensor) or (isinstance(each, list | tuple) and _any_tensor(each)) for each in given)


def first_difference(sliced: nn.Module, images: Tensor, expected: Sequence[Sums]) -> str | None:
    """Return the first operation of the sliced network that gives something else than was expected, and its line."""
    listening = _Listening(list(expected))
    handles = [
        hook
        for path, module in sliced.named_modules()
        for hook in (
            module.register_forward_pre_hook(lambda *_, path=path: listening.stack.append(path)),
            module.register_forward_hook(lambda *_: listening.leave(), always_call=True),
        )
    ]
    try:
        with torch.no_grad(), listening:
            sliced(images)
    finally:
        for handle in handles:
            handle.remove()
    return listening.found


class _Listening(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch ships no types for it
    """Holds each operation against what was expected, in the order of a forward."""

    def __init__(self, expected: list[Sums]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.stack: list[str] = []
        self.found: str | None = None
        self._expected = expected
        self._number = 0

    def leave(self) -> None:
        """Leave the module that is being run."""
        self.stack.pop()

    def __torch_dispatch__(
        self, function: Any, _types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = function(*args, **(kwargs or {}))
        name = str(function).removeprefix("aten.")
        own = sums_of(name, args, output, (), None)
        if own is not None and self.found is None:
            number, self._number = self._number, self._number + 1
            if number >= len(self._expected) or not self._expected[number].agrees(own):
                place = place_of_call()
                module = repr(self.stack[-1]) if self.stack and self.stack[-1] else "the network's forward"
                self.found = f"{name.partition('.')[0]} ({module}{'' if place is None else f', {place}'})"
        return output
