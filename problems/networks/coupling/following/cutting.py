"""Channels cut into pieces, picked, and put together again: slices, splits, concatenations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.elementwise import broadcast
from emoprune.problems.networks.coupling.following.follower import Follower, Rule

__all__ = ["RULES"]


def _cut(follower: Follower, labels: Labels, bounds: Sequence[int]) -> None:
    """See to it that bounds within channels stay where they are meant: counted by attributes, or in proportion."""
    inner = [bound for bound in bounds if 0 < bound < len(labels)]
    if not inner:
        return
    numbers = {bound: follower.named(bound) for bound in inner}
    if all(number is not None for number in numbers.values()):
        for bound, number in numbers.items():
            if number is not None:
                follower.count(number, labels[:bound])
        return
    _in_proportion(follower, labels, math.gcd(len(labels), *inner))


def _in_proportion(follower: Follower, labels: Labels, period: int) -> None:
    """Let all pieces lose the same share of their channels; with nothing in common they cannot."""
    if period == 1 < len(labels):
        follower.fix(labels, "they are cut where only all of them together could go")
    follower.alike(labels, period)
    follower.count_roots(labels)


def _slice(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], follower.own(call)
    given = (*call.args[1:], *[None] * (5 - len(call.args)))
    axis = (given[0] or 0) % value.ndim
    labels, size = axes[axis], value.shape[axis]
    if labels is None:
        return [tuple(axes)]
    start, stop, step = slice(given[1], given[2], given[3]).indices(size)
    if step > 1:
        if size % step:
            follower.fix(labels, f"every {step}th of {size} channels is taken")
        follower.join(labels, np.repeat(labels[::step], step)[:size])
    else:
        _cut(follower, labels, (start, stop))
    axes[axis] = labels[start:stop:step]
    return [tuple(axes)]


def _split(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], follower.own(call)
    axis = (call.args[2] if len(call.args) > 2 else call.kwargs.get("dim", 0)) % value.ndim
    labels = axes[axis]
    if labels is None:
        return [tuple(axes)] * len(call.output)
    sizes = [piece.shape[axis] for piece in call.output]
    starts = np.cumsum([0, *sizes])
    pieces = [labels[start : start + size] for start, size in zip(starts, sizes, strict=False)]
    _count_pieces(follower, labels, sizes, pieces)
    return [tuple(piece if place == axis else own for place, own in enumerate(axes)) for piece in pieces]


def _count_pieces(follower: Follower, labels: Labels, sizes: Sequence[int], pieces: Sequence[Labels]) -> None:
    """Let attributes count pieces where they say their sizes, one attribute's alike; else cut in proportion."""
    numbers = [follower.named(size) for size in sizes]
    named = [number for number in follower.numbers if number.source is not None]
    if "split" in follower.function and len(named) >= len(sizes) > 1:  # each has its own
        numbers = [number if number == size else None for number, size in zip(named, sizes, strict=False)]
    if "split" not in follower.function or any(number is None for number in numbers):
        if len(sizes) > 1:
            _in_proportion(follower, labels, math.gcd(*sizes))
        return
    first: dict[object, Labels] = {}
    for number, piece in zip(numbers, pieces, strict=True):
        assert number is not None and number.source is not None  # noqa: PT018, S101  # checked above; narrows the type
        same = first.setdefault(number.source, piece)
        follower.join(same, piece)
        follower.count(number, same)


def _picked(follower: Follower, call: Call) -> Sequence[Axes]:
    """Take single indices along an axis away from the others."""
    value, axes = call.args[0], follower.own(call)
    axis = (call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % value.ndim
    follower.fix(axes[axis], "single channels are picked by number")
    made = tuple(own for place, own in enumerate(axes) if place != axis)
    return [made] * (len(call.output) if isinstance(call.output, tuple | list) else 1)


def _indexed(follower: Follower, call: Call) -> Sequence[Axes]:
    """Take indices along one axis; what is taken along several at once keeps no channels."""
    axes = follower.own(call)
    if call.name.startswith("index_select"):
        places = [call.args[1] % len(axes)]
    else:
        places = [place for place, index in enumerate(call.args[1]) if index is not None]
    for place in places:
        follower.fix(axes[place], "channels are picked by number")
    kept = len(places) == 1 and call.output.ndim == len(axes)
    return (
        [tuple(None if not kept or place in places else own for place, own in enumerate(axes))]
        if kept
        else _lost(follower, axes, call)
    )


def _lost(follower: Follower, axes: Sequence[Labels | None], call: Call) -> Sequence[Axes]:
    for labels in axes:
        follower.fix(labels, "channels are picked by number")
    return [(None,) * call.output.ndim]


def _cat(follower: Follower, call: Call) -> Sequence[Axes]:
    values = [value for value in call.args[0] if value.numel() or value.ndim > 1]
    axis = (call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % values[0].ndim
    made: list[Labels | None] = []
    for place in range(values[0].ndim):
        own = [(follower.axes(value) or ())[place] for value in values]
        if place != axis:
            common: Labels | None = None
            for labels in own:
                common = follower.join(common, labels)
            made.append(common)
        elif all(labels is None for labels in own):
            made.append(None)
        else:
            made.append(np.concatenate([_or_constant(follower, *each, axis) for each in zip(own, values, strict=True)]))
    return [tuple(made)]


def _or_constant(follower: Follower, labels: Labels | None, value: Tensor, axis: int) -> Labels:
    if labels is not None:
        return labels
    added = follower.links.free(value.shape[axis])
    follower.fix(added, "they are concatenated with what never gets smaller")
    return added


def _stack(follower: Follower, call: Call) -> Sequence[Axes]:
    values = call.args[0]
    axis = (call.args[1] if len(call.args) > 1 else 0) % (values[0].ndim + 1)
    made = list(broadcast(follower, values, values[0].ndim))
    made.insert(axis, None)
    return [tuple(made)]


def _flip(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    for axis in call.args[1]:
        own = axes[axis]
        axes[axis] = None if own is None else own[::-1].copy()
    return [tuple(axes)]


def _roll(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    rolled = call.args[2] if len(call.args) > 2 and call.args[2] else range(len(axes))
    for axis in rolled:
        follower.fix(axes[axis], "channels are rolled by number")
        axes[axis] = None
    return [tuple(axes)]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("split", "split_with_sizes", "split_copy"), _split),
    **dict.fromkeys(("select", "unbind"), _picked),
    **dict.fromkeys(("index", "index_select"), _indexed),
    "slice": _slice,
    "cat": _cat,
    "stack": _stack,
    "flip": _flip,
    "roll": _roll,
}
