"""Operations over channels that see only those that stay, as those of a network that was really cut do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.problems.networks.coupling.following.axes import Labels

__all__ = ["Selected", "over_kept"]

Selected = Mapping[int, Sequence[tuple[int, Labels]]]  # by argument, axes and the channels along them


def over_kept(function: Any, call: Any, selected: Selected, summed: Selected, stays: NDArray[np.bool_]) -> Any:
    """Run an operation on the indices that stay, along each axis over which it computes.

    Where its first output is as long along these axes as what it took in, zeros stand in the places of the others.
    `summed` are the axes over which it only sums: there, zeros take the places of what does not stay.
    """
    args = list(call.args)
    for place, axes in summed.items():
        for axis, labels in axes:
            args[place] = _zeroed(args[place], axis, stays[labels])
    kept = {place: [(axis, stays[labels]) for axis, labels in axes] for place, axes in selected.items()}
    indices = {
        place: [(axis, torch.from_numpy(np.flatnonzero(own))) for axis, own in axes if not own.all()]
        for place, axes in kept.items()
    }
    for place, axes_kept in indices.items():
        for axis, own in axes_kept:
            args[place] = args[place].index_select(axis, own)
    output = function(*_counted_anew(call.name, args), **call.kwargs)
    first = output[0] if isinstance(output, tuple) else output
    for axis, own in indices.get(0, ()):
        if first.ndim == call.args[0].ndim and first.shape[axis] == len(own):
            shape = list(first.shape)
            shape[axis] = call.args[0].shape[axis]
            first = first.new_zeros(shape).index_copy(axis, own, first)
    return (first, *output[1:]) if isinstance(output, tuple) else first


def _zeroed(value: torch.Tensor, axis: int, stays: NDArray[np.bool_]) -> torch.Tensor:
    if stays.all():
        return value
    shape = [1] * value.ndim
    shape[axis] = -1
    return value * torch.from_numpy(stays).to(value.dtype).view(shape)


def _counted_anew(name: str, args: Sequence[Any]) -> list[Any]:
    """Return the arguments of norms with the counts that they are given beside their tensors."""
    changed = list(args)
    if name.startswith("native_layer_norm"):
        changed[1] = list(args[0].shape[-len(args[1]) :])
    elif name.startswith("native_group_norm"):
        changed[4] = args[0].shape[1]
    return changed
