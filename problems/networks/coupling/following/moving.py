"""Operations that move values and compute nothing: views, permutations, slices, splits, shuffles, concatenations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import Axes, Block, Labels, blocks, merged
from emoprune.problems.networks.coupling.following.elementwise import broadcast
from emoprune.problems.networks.coupling.following.follower import Call, Choice, Follower, Rule
from emoprune.problems.networks.coupling.following.places import place_of_call

__all__ = ["RULES"]


def _own(follower: Follower, call: Call) -> list[Labels | None]:
    return list(follower.axes(call.args[0]) or ())


def _permuted(order: Sequence[int], axes: Sequence[Labels | None]) -> Axes:
    return tuple(axes[axis] for axis in order)


def _permute(follower: Follower, call: Call) -> Sequence[Axes]:
    return [_permuted(call.args[1], _own(follower, call))]


def _transpose(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    one, other = call.args[1:3]
    axes[one], axes[other] = axes[other], axes[one]
    return [tuple(axes)]


def _t(follower: Follower, call: Call) -> Sequence[Axes]:
    return [tuple(reversed(_own(follower, call)))]


def _unsqueeze(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    axes.insert(call.args[1] % (len(axes) + 1), None)
    return [tuple(axes)]


def _squeeze(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], _own(follower, call)
    asked = call.args[1] if len(call.args) > 1 else range(value.ndim)
    asked = [asked] if isinstance(asked, int) else asked
    gone = {axis % value.ndim for axis in asked if value.shape[axis] == 1}
    for axis in gone:
        follower.fix(axes[axis], "a single channel's axis is taken away")
    return [tuple(labels for axis, labels in enumerate(axes) if axis not in gone)]


def _expand(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], _own(follower, call)
    made: list[Labels | None] = [None] * (call.output.ndim - value.ndim)
    for axis, labels in enumerate(axes):
        if call.output.shape[len(made)] != value.shape[axis]:
            follower.fix(labels, "one channel is used for several")
            made.append(None)
        else:
            made.append(labels)
    return [tuple(made)]


def _repeat(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    times = call.args[1]
    axes = [None] * (len(times) - len(axes)) + axes
    return [tuple(None if own is None else np.tile(own, n) for own, n in zip(axes, times, strict=True))]


def _view(follower: Follower, call: Call) -> Sequence[Axes]:
    """Lay out axes anew: along a merged one an index belongs to the channel of what it was, and so on the way back."""
    value, output, axes = call.args[0], call.output, _own(follower, call)
    if 0 in value.shape or 0 in output.shape:
        return [tuple(None for _ in output.shape)]
    asked = call.args[1] if isinstance(call.args[1], list | tuple) else list(output.shape)
    made: list[Labels | None] = [None] * output.ndim
    for block in blocks(list(value.shape), list(output.shape)):
        flat = _flattened(follower, block, value, axes)
        if flat is not None:
            _laid_out(follower, block, flat, output, asked, made)
    return [tuple(made)]


def _flattened(follower: Follower, block: Block, value: Tensor, axes: Sequence[Labels | None]) -> Labels | None:
    sizes = [value.shape[axis] for axis in block.before]
    labelled = [place for place, axis in enumerate(block.before) if axes[axis] is not None]
    wide = [place for place in labelled if sizes[place] > 1]
    for place in wide[1:]:
        follower.fix(axes[block.before[place]], "two axes along which channels go become one")
    chosen = wide[:1] or labelled[:1]
    if not chosen:
        return None
    own = axes[block.before[chosen[0]]]
    assert own is not None  # noqa: S101  # it is one of those that are labelled; narrows the type
    return merged(sizes, chosen[0], own)


def _laid_out(
    follower: Follower, block: Block, flat: Labels, output: Tensor, asked: Sequence[int], made: list[Labels | None]
) -> None:
    sizes = tuple(output.shape[axis] for axis in block.after)
    wide = [place for place, size in enumerate(sizes) if size > 1]
    if len(wide) <= 1:
        place = wide[0] if wide else _of_one(block)
        if place is None:
            follower.fix(flat, "a single channel's axis is taken away")
            return
        made[block.after[place]] = flat
        if len(block.before) > 1 or follower.named(sizes[place]) is not None:
            _count(follower, flat, sizes[place])
        return
    table = flat.reshape(sizes)
    chosen = next((place for place in wide if _constant(table, place)), None)
    if chosen is None:
        chosen = _chosen(follower, block, flat, sizes, asked)
    own = _along(table, chosen)
    follower.join(flat, merged(sizes, chosen, own))
    made[block.after[chosen]] = own
    follower.count_roots(flat)
    _count(follower, own, sizes[chosen])


def _of_one(block: Block) -> int | None:
    """Return which of several axes of one index holds the channel: the one that stands where it stood before."""
    return min(1, len(block.after) - 1) if block.after and block.after[0] == 0 else (0 if block.after else None)


def _count(follower: Follower, labels: Labels, size: int) -> None:
    number = follower.named(size)
    if number is not None:
        follower.count(number, labels)
    elif size > 1 and not follower.computed(size):
        follower.doubt(labels, f"the size {size} may be written into the forward")


def _along(table: Labels, place: int) -> Labels:
    return np.ascontiguousarray(np.moveaxis(table, place, 0).reshape(table.shape[place], -1)[:, 0])


def _constant(table: Labels, place: int) -> bool:
    """Whether an index along one axis alone says which channel it is."""
    rows = np.moveaxis(table, place, 0).reshape(table.shape[place], -1)
    return bool((rows == rows[:, :1]).all())


def _chosen(follower: Follower, block: Block, flat: Labels, sizes: tuple[int, ...], asked: Sequence[int]) -> int:
    """Return the axis along which channels go where any could: one whose size follows from the others, or the largest.

    The channels at the same place along it go together; which it is has to be seen to work.
    """
    free = [place for place, axis in enumerate(block.after) if axis < len(asked) and asked[axis] == -1]
    computed = [place for place, size in enumerate(sizes) if follower.computed(size) and place not in free]
    rest = sorted((place for place in range(len(sizes)) if place not in {*free, *computed}), key=lambda p: -sizes[p])
    ranked = [place for place in (*free, *computed, *rest) if sizes[place] > 1]
    key = (place_of_call(), sizes)
    left = [place for place in ranked if (key, place) not in follower.avoided]
    taken = _staying_along(follower, flat.reshape(sizes), ranked) if follower.stays is not None else None
    chosen = taken if taken is not None else (left or ranked)[0]
    follower.choices.append(Choice(key, chosen, tuple(place for place in left if place != chosen), flat))
    return chosen


def _staying_along(follower: Follower, table: Labels, ranked: Sequence[int]) -> int | None:
    """Return the axis along which channels were really taken out."""
    assert follower.stays is not None  # noqa: S101  # it is why this is asked; narrows the type
    stays = follower.stays[table].astype(np.int64)
    return next((place for place in ranked if _constant(stays, place)), None)


def _cut(follower: Follower, labels: Labels, bounds: Sequence[int], what: str) -> None:
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
    follower.alike(labels, math.gcd(len(labels), *inner))
    follower.count_roots(labels)
    if not any(follower.computed(bound) for bound in inner):
        follower.doubt(labels, f"{what} at {', '.join(map(str, inner))} of {len(labels)} channels")


def _slice(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], _own(follower, call)
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
        _cut(follower, labels, (start, stop), "they are cut")
    axes[axis] = labels[start:stop:step]
    return [tuple(axes)]


def _split(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], _own(follower, call)
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
    """Let attributes count pieces where they say their sizes, those with the same attribute alike; else in proportion."""
    numbers = [follower.named(size) for size in sizes]
    named = [number for number in follower.numbers if number.source is not None]
    if "split" in follower.function and len(named) >= len(sizes) > 1:  # each has its own
        numbers = [number if number == size else None for number, size in zip(named, sizes, strict=False)]
    if "split" not in follower.function or any(number is None for number in numbers):
        if len(sizes) > 1:
            follower.alike(labels, math.gcd(*sizes))
            follower.count_roots(labels)
            follower.doubt(labels, f"they are split into {', '.join(map(str, sizes))}")
        return
    first: dict[object, Labels] = {}
    for number, piece in zip(numbers, pieces, strict=True):
        assert number is not None and number.source is not None  # noqa: PT018, S101  # checked above; narrows the type
        same = first.setdefault(number.source, piece)
        follower.join(same, piece)
        follower.count(number, same)


def _picked(follower: Follower, call: Call) -> Sequence[Axes]:
    """Take single indices along an axis away from the others."""
    value, axes = call.args[0], _own(follower, call)
    axis = (call.args[1] if len(call.args) > 1 else call.kwargs.get("dim", 0)) % value.ndim
    follower.fix(axes[axis], "single channels are picked by number")
    made = tuple(own for place, own in enumerate(axes) if place != axis)
    return [made] * (len(call.output) if isinstance(call.output, tuple | list) else 1)


def _indexed(follower: Follower, call: Call) -> Sequence[Axes]:
    """Take indices along one axis; what is taken along several at once keeps no channels."""
    axes = _own(follower, call)
    if call.name.startswith("index_select"):
        places = [call.args[1] % len(axes)]
    else:
        places = [place for place, index in enumerate(call.args[1]) if index is not None]
    for place in places:
        follower.fix(axes[place], "channels are picked by number")
    kept = len(places) == 1 and call.output.ndim == len(axes)
    return [tuple(None if not kept or place in places else own for place, own in enumerate(axes))] if kept else _lost(
        follower, axes, call
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
    axes = _own(follower, call)
    for axis in call.args[1]:
        own = axes[axis]
        axes[axis] = None if own is None else own[::-1].copy()
    return [tuple(axes)]


def _roll(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    rolled = call.args[2] if len(call.args) > 2 and call.args[2] else range(len(axes))
    for axis in rolled:
        follower.fix(axes[axis], "channels are rolled by number")
        axes[axis] = None
    return [tuple(axes)]


def _pixel_shuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, factor = _own(follower, call), call.args[1]
    labels = axes[-3]
    if labels is not None:
        first = labels.reshape(-1, factor * factor)[:, 0]
        follower.join(labels, np.repeat(first, factor * factor))
        axes[-3] = first
    return [tuple(axes)]


def _pixel_unshuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, factor = _own(follower, call), call.args[1]
    own = axes[-3]
    axes[-3] = None if own is None else np.repeat(own, factor * factor)
    return [tuple(axes)]


def _channel_shuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, groups = _own(follower, call), call.args[1]
    labels = axes[1]
    if labels is not None:
        axes[1] = follower.alike(labels, len(labels) // groups).reshape(groups, -1).T.ravel()
    return [tuple(axes)]


def _im2col(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    own = axes[-3]
    patch = math.prod(call.args[1])
    return [(*axes[:-3], None if own is None else np.repeat(own, patch), None)]


def _col2im(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    labels, patch = axes[-2], math.prod(call.args[2])
    first: Labels | None = None
    if labels is not None:
        first = labels.reshape(-1, patch)[:, 0]
        follower.join(labels, np.repeat(first, patch))
    return [(*axes[:-2], first, None, None)]


def _unfold(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = _own(follower, call)
    follower.fix(axes[call.args[1]], "windows are taken over neighbouring channels")
    axes[call.args[1]] = None
    return [(*axes, None)]


def _strided(follower: Follower, call: Call) -> Sequence[Axes] | None:
    """Only the strides may be others, as torch's pooling to one place makes them."""
    if call.output.shape == call.args[0].shape:
        return [tuple(_own(follower, call))]
    for labels in _own(follower, call):
        follower.fix(labels, "how as_strided reads channels is not known")
    return None


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("split", "split_with_sizes", "split_copy"), _split),
    **dict.fromkeys(("select", "unbind"), _picked),
    **dict.fromkeys(("index", "index_select"), _indexed),
    **dict.fromkeys(("as_strided", "as_strided_"), _strided),
    "permute": _permute,
    "transpose": _transpose,
    "transpose_": _transpose,
    "t": _t,
    "unsqueeze": _unsqueeze,
    "unsqueeze_": _unsqueeze,
    "squeeze": _squeeze,
    "squeeze_": _squeeze,
    "expand": _expand,
    "repeat": _repeat,
    "slice": _slice,
    "cat": _cat,
    "stack": _stack,
    "flip": _flip,
    "roll": _roll,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "im2col": _im2col,
    "col2im": _col2im,
    "unfold": _unfold,
}
