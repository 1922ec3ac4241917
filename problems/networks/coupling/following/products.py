"""Operations that multiply and sum: what they sum over goes together on both sides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import NOWHERE, Axes, Labels, merged
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.follower import Follower, Rule

__all__ = ["RULES"]


def _summed(follower: Follower, one: Labels | None, other: Labels | None) -> None:
    """Join what is summed over; if along one of both nothing goes, it cannot along the other."""
    if one is not None and other is not None:
        follower.join(one, other)
    else:
        follower.fix(one if other is None else other, "they are multiplied with what never gets smaller")


def _times(follower: Follower, one: Tensor, other: Tensor) -> Axes:
    left, right = follower.axes(one) or (), follower.axes(other) or ()
    if one.ndim == 2:
        _note(follower, right[-1:], one.shape[:1], left[:1])
    _summed(follower, left[-1], right[-2])
    outer = follower.join(left[0], right[0]) if len(left) == 3 else None
    return (outer, left[-2], right[-1]) if len(left) == 3 else (left[-2], right[-1])


def _mm(follower: Follower, call: Call) -> Sequence[Axes]:
    return [_times(follower, call.args[0], call.args[1])]


def _addmm(follower: Follower, call: Call) -> Sequence[Axes]:
    made = _times(follower, call.args[1], call.args[2])
    return [_added(follower, made, call.args[0])]


def _added(follower: Follower, made: Axes, bias: Tensor | None) -> Axes:
    """Join the axes of a product with those of what is added to it."""
    own = follower.axes(bias)
    if bias is None or own is None:
        return made
    joined = list(made)
    for place in range(1, len(own) + 1):
        if bias.shape[-place] > 1 or (made[-place] is not None and len(made[-place] or ()) == 1):
            joined[-place] = follower.join(made[-place], own[-place])
    return tuple(joined)


def _linear(follower: Follower, call: Call) -> Sequence[Axes]:
    value, weight = (follower.axes(each) or () for each in call.args[:2])
    _summed(follower, value[-1], weight[1])
    _note(follower, weight[:1], call.args[0].shape[:-1], value[:-1])
    made = (*value[:-1], weight[0])
    return [_added(follower, made, call.args[2] if len(call.args) > 2 else None)]


def _mv(follower: Follower, call: Call) -> Sequence[Axes]:
    matrix, vector = (follower.axes(each) or () for each in call.args[:2])
    _summed(follower, matrix[-1], vector[0])
    return [matrix[:-1]]


def _convolution(follower: Follower, call: Call) -> Sequence[Axes]:
    value, kernel, bias, *_, transposed, _, groups = call.args[:9]
    axes, weight = follower.axes(value) or (), follower.axes(kernel) or ()
    channel = len(axes) - kernel.ndim + 1  # that of images without a batch is the first
    taken = axes[channel]
    if transposed:
        out = _transposed(follower, taken, weight, groups)
    else:
        out = _convolved(follower, taken, weight, kernel, groups)
    own = follower.axes(bias)
    if own is not None:
        out = follower.join(out, own[0])
    around = [_neighbours(follower, *each) for each in _spatial(call, axes)]
    sizes = (*call.output.shape[:channel], *call.output.shape[channel + 1 :])
    _note(follower, weight, sizes, [None] * len(sizes) if transposed else [*axes[:channel], *around])
    return [(*axes[:channel], out, *around)]


def _note(follower: Follower, weight: Axes, sizes: Sequence[int], axes: Sequence[Labels | None]) -> None:
    """Note the places of an image at which a layer's weight is applied, and the channels that these belong to.

    Places are taken along axes of these sizes, also where the layer itself does not run.
    """
    labelled = next((place for place, own in enumerate(axes) if own is not None), None)
    own = None if labelled is None else axes[labelled]
    if own is None or labelled is None:
        places = np.full(math.prod(sizes), NOWHERE, dtype=np.int64)
    else:
        places = merged(sizes, labelled, own)
    for labels in weight:
        owner = None if labels is None else follower.owners.get(int(labels[0]))
        if owner is not None:
            follower.places.setdefault(owner, []).append(places)


def _spatial(call: Call, axes: Axes) -> list[tuple[Labels | None, int, int]]:
    first = len(axes) - call.args[1].ndim + 2
    value, output = call.args[0], call.output
    return [(axes[place], value.shape[place], output.shape[place]) for place in range(first, len(axes))]


def _neighbours(follower: Follower, labels: Labels | None, size: int, made: int) -> Labels | None:
    """Return the labels along an axis over which a convolution runs: kept if there are as many as before."""
    if labels is None or size == made:
        return labels
    follower.fix(labels, "a convolution runs over channels and gives another number of them")
    return None


def _convolved(follower: Follower, taken: Labels | None, weight: Axes, kernel: Tensor, groups: int) -> Labels | None:
    out, read = weight[0], weight[1]
    owner = follower.owners.get(int(out[0])) if out is not None else None
    side = follower.links.labels((owner, "in")) if owner is not None else None
    if groups == 1:
        _summed(follower, taken, read)
        return out
    incoming, outgoing = kernel.shape[1] * groups, kernel.shape[0]
    if taken is not None and side is not None and len(side) == len(taken):
        follower.join(side, taken)
    number = follower.named(groups)
    if groups == incoming:  # each filter reads one channel alone, and goes with it
        if taken is None:
            follower.fix(out, "they are made of what never gets smaller")
            return out
        if number is not None:
            follower.count(number, taken)
        return follower.join(np.repeat(taken, outgoing // groups), out)
    if taken is not None:
        taken = follower.alike(taken, incoming // groups)
        _summed(follower, taken[: incoming // groups], read)
    else:
        follower.fix(read, "they are multiplied with what never gets smaller")
    return None if out is None else follower.alike(out, outgoing // groups)


def _transposed(follower: Follower, taken: Labels | None, weight: Axes, groups: int) -> Labels | None:
    read, out = weight[0], weight[1]
    _summed(follower, taken, read)
    if groups == 1:
        return out
    for labels in (taken, out):
        follower.fix(labels, "no slicing is known for grouped transposed convolutions")
    return None


def _attention(follower: Follower, call: Call) -> Sequence[Axes]:
    """Join queries with keys, and values with both: the kernels want them equally wide."""
    query, key, value = (list(follower.axes(each) or ()) for each in call.args[:3])
    _summed(follower, query[-1], key[-1])
    _summed(follower, query[-1], value[-1])
    for place in range(len(query) - 2):
        query[place] = follower.join(follower.join(query[place], key[place]), value[place])
    follower.join(key[-2], value[-2])
    made = (*query[:-1], value[-1])
    return [made, made[:-1]]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("mm", "bmm"), _mm),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm"), _addmm),
    **dict.fromkeys(("convolution", "_convolution", "mkldnn_convolution"), _convolution),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math"), _attention),
    "linear": _linear,
    "mv": _mv,
    "dot": _mv,
}
