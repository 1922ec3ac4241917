"""Views: the same values along other axes, merged, split and moved, and nothing computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import Axes, Block, Labels, blocks, merged
from emoprune.problems.networks.coupling.following.calls import Call, Choice
from emoprune.problems.networks.coupling.following.follower import Follower, Rule
from emoprune.problems.networks.coupling.following.places import place_of_call

__all__ = ["RULES"]


def _permute(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    return [tuple(axes[axis] for axis in call.args[1])]


def _transpose(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    one, other = call.args[1:3]
    axes[one], axes[other] = axes[other], axes[one]
    return [tuple(axes)]


def _t(follower: Follower, call: Call) -> Sequence[Axes]:
    return [tuple(reversed(follower.own(call)))]


def _unsqueeze(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    axes.insert(call.args[1] % (len(axes) + 1), None)
    return [tuple(axes)]


def _squeeze(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], follower.own(call)
    asked = call.args[1] if len(call.args) > 1 else range(value.ndim)
    asked = [asked] if isinstance(asked, int) else asked
    gone = {axis % value.ndim for axis in asked if value.shape[axis] == 1}
    for axis in gone:
        follower.fix(axes[axis], "a single channel's axis is taken away")
    return [tuple(labels for axis, labels in enumerate(axes) if axis not in gone)]


def _expand(follower: Follower, call: Call) -> Sequence[Axes]:
    value, axes = call.args[0], follower.own(call)
    made: list[Labels | None] = [None] * (call.output.ndim - value.ndim)
    for axis, labels in enumerate(axes):
        if call.output.shape[len(made)] != value.shape[axis]:
            follower.fix(labels, "one channel is used for several")
            made.append(None)
        else:
            made.append(labels)
    return [tuple(made)]


def _repeat(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, times = follower.own(call), call.args[1]
    before: list[Labels | None] = [None] * (len(times) - len(axes))
    return [tuple(None if own is None else np.tile(own, n) for own, n in zip(before + axes, times, strict=True))]


def _view(follower: Follower, call: Call) -> Sequence[Axes]:
    """Lay out axes anew: along a merged one an index belongs to the channel of what it was, and so on the way back."""
    value, output, axes = call.args[0], call.output, follower.own(call)
    if 0 in value.shape or 0 in output.shape:
        return [tuple(None for _ in output.shape)]
    asked = call.args[1] if isinstance(call.args[1], list | tuple) else list(output.shape)
    made: list[Labels | None] = [None] * output.ndim
    for block in blocks(list(value.shape), list(output.shape)):
        flat = _flattened(follower, block, value, axes)
        if flat is not None:
            made = _laid_out(follower, Split(block, flat, tuple(output.shape), tuple(asked)), made)
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


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Labels along one axis that a view lays out as those of a block; `asked` are the sizes as they were given."""

    block: Block
    flat: Labels
    shape: tuple[int, ...]
    asked: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the axes that are made."""
        return tuple(self.shape[axis] for axis in self.block.after)


def _laid_out(follower: Follower, split: Split, made: Sequence[Labels | None]) -> list[Labels | None]:
    """Return the axes that a view makes, with those of one block in their places."""
    sizes, after, laid = split.sizes, split.block.after, list(made)
    wide = [place for place, size in enumerate(sizes) if size > 1]
    if len(wide) <= 1:
        place = wide[0] if wide else _of_one(split.block)
        if place is None:
            follower.fix(split.flat, "a single channel's axis is taken away")
            return laid
        laid[after[place]] = split.flat
        if len(split.block.before) > 1 or follower.named(sizes[place]) is not None:
            _count(follower, split.flat, sizes[place])
        return laid
    table = split.flat.reshape(sizes)
    chosen = next((place for place in wide if _constant(table, place)), None)
    if chosen is None:
        chosen = _chosen(follower, split)
    own = _along(table, chosen)
    follower.join(split.flat, merged(sizes, chosen, own))
    follower.count_roots(split.flat)
    _count(follower, own, sizes[chosen])
    laid[after[chosen]] = own
    return laid


def _of_one(block: Block) -> int | None:
    """Return which of several axes of one index holds the channel: the one that stands where it stood before."""
    return min(1, len(block.after) - 1) if block.after and block.after[0] == 0 else (0 if block.after else None)


def _count(follower: Follower, labels: Labels, size: int) -> None:
    number = follower.named(size)
    if number is not None:
        follower.count(number, labels)


def _along(table: Labels, place: int) -> Labels:
    return np.ascontiguousarray(np.moveaxis(table, place, 0).reshape(table.shape[place], -1)[:, 0])


def _constant(table: Labels, place: int) -> bool:
    """Whether an index along one axis alone says which channel it is."""
    rows = np.moveaxis(table, place, 0).reshape(table.shape[place], -1)
    return bool((rows == rows[:, :1]).all())


def _chosen(follower: Follower, split: Split) -> int:
    """Return the axis along which channels go where any could: one whose size follows from the others, or the largest.

    The channels at the same place along it go together; which it is has to be seen to work.
    """
    sizes, after, asked = split.sizes, split.block.after, split.asked
    free = [place for place, axis in enumerate(after) if axis < len(asked) and asked[axis] == -1]
    computed = [place for place, size in enumerate(sizes) if follower.computed(size) and place not in free]
    rest = sorted((place for place in range(len(sizes)) if place not in {*free, *computed}), key=lambda p: -sizes[p])
    ranked = [place for place in (*free, *computed, *rest) if sizes[place] > 1]
    key = (place_of_call(), sizes)
    left = [place for place in ranked if (key, place) not in follower.avoided]
    chosen = _staying_along(follower, split.flat.reshape(sizes), ranked) if follower.stays is not None else None
    if chosen is None:
        chosen = (left or ranked)[0]
    follower.choices.append(Choice(key, chosen, tuple(place for place in left if place != chosen), split.flat))
    return chosen


def _staying_along(follower: Follower, table: Labels, ranked: Sequence[int]) -> int | None:
    """Return the axis along which channels were really taken out."""
    assert follower.stays is not None  # noqa: S101  # it is why this is asked; narrows the type
    stays = follower.stays[table].astype(np.int64)
    return next((place for place in ranked if _constant(stays, place)), None)


def _strided(follower: Follower, call: Call) -> Sequence[Axes]:
    """Only the strides may be others, as torch's pooling to one place makes them."""
    if call.output.shape == call.args[0].shape:
        return [tuple(follower.own(call))]
    for labels in follower.own(call):
        follower.fix(labels, "how as_strided reads channels is not known")
    return []


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("as_strided", "as_strided_"), _strided),
    **dict.fromkeys(("transpose", "transpose_"), _transpose),
    **dict.fromkeys(("unsqueeze", "unsqueeze_"), _unsqueeze),
    **dict.fromkeys(("squeeze", "squeeze_"), _squeeze),
    "permute": _permute,
    "t": _t,
    "expand": _expand,
    "repeat": _repeat,
}
