"""Operations that compute each place from the same place of their arguments, or from places around it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.follower import Follower, Rule

__all__ = ["RULES", "broadcast", "pointwise", "spatial_rule"]


def pointwise(follower: Follower, call: Call) -> Sequence[Axes]:
    """Join the channels of all arguments, place by place."""
    values = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Tensor)]
    values += [each for value in call.args if isinstance(value, list) for each in value if isinstance(each, Tensor)]
    if not isinstance(call.output, Tensor):
        return []
    made = broadcast(follower, values, call.output.ndim)
    if call.name.partition(".")[0].endswith("_") and values and values[0] is call.output:
        _written_into(follower, values[0], made)
    return [made]


def broadcast(follower: Follower, values: Sequence[Tensor], dimensions: int) -> Axes:
    """Return the axes of what several tensors make place by place; an index that serves many channels never goes."""
    made: list[Labels | None] = []
    for axis in range(-dimensions, 0):
        sizes = [value.shape[axis] if -axis <= value.ndim else 1 for value in values]
        labels = [(follower.axes(value) or ())[axis] if -axis <= value.ndim else None for value in values]
        widest = max(sizes, default=1)
        common: Labels | None = None
        for size, own in zip(sizes, labels, strict=True):
            if size == widest:
                common = follower.join(common, own)
            else:
                follower.fix(own, "one channel is used for several")
        never = any(size == widest and own is None for size, own in zip(sizes, labels, strict=True))
        made.append(None if never and common is not None and follower.is_bare(common) else common)
    return tuple(made)


def _written_into(follower: Follower, target: Tensor, made: Axes) -> None:
    """Hold what is written into a tensor against what that tensor is a part of."""
    base = target._base  # noqa: SLF001  # torch has no other name for what a view is a view of
    before = follower.axes(target) or ()
    for own, labels in zip(before, made, strict=True):
        if own is None and labels is not None and base is not None:
            follower.fix(labels, "channels are written into a part of a tensor")


def _same(follower: Follower, call: Call) -> Sequence[Axes]:
    return [follower.axes(call.args[0]) or ()]


def _nothing(_follower: Follower, _call: Call) -> Sequence[Axes]:
    return []


def _spatial(dimensions: int) -> Rule:
    """Return the rule of what keeps the first axes and computes over the last ones."""

    def rule(follower: Follower, call: Call) -> Sequence[Axes]:
        axes = follower.axes(call.args[0]) or ()
        for labels in axes[len(axes) - dimensions :]:
            follower.fix(labels, f"{call.name.partition('.')[0]} computes over neighbouring channels")
        made = (*axes[: len(axes) - dimensions], *[None] * dimensions)
        return [made] * (len(call.output) if isinstance(call.output, tuple) else 1)

    return rule


_SPATIAL = re.compile(
    r"_?(upsample|avg_pool|max_pool|adaptive|reflection_pad|replication_pad|grid_sampler|fractional_max_pool|max_unpool)"
    r"\w*?([123])d"
)


def spatial_rule(name: str) -> Rule | None:
    """Return the rule of an operation over the last axes of images, by its name."""
    found = _SPATIAL.match(name)
    if found is not None:
        return _spatial(int(found[2]))
    return _spatial(2) if name.startswith("_upsample") else None


def _copied_into(follower: Follower, call: Call) -> Sequence[Axes]:
    target, source = call.args[0], call.args[1]
    made = broadcast(follower, [target, source], target.ndim)
    _written_into(follower, target, made)
    return [made]


def _fft(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = list(follower.axes(call.args[0]) or ())
    for axis in call.args[1]:
        follower.fix(axes[axis], "a Fourier transform over channels depends on all of them")
        axes[axis] = None
    return [tuple(axes)]


def _padded(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = list(follower.axes(call.args[0]) or ())
    amounts = call.args[1]
    for place in range(len(amounts) // 2):
        before, after = amounts[2 * place : 2 * place + 2]
        labels = axes[-1 - place]
        if labels is None or (before, after) == (0, 0):
            continue
        if min(before, after) < 0:
            follower.fix(labels, "channels are cut off by number")
            axes[-1 - place] = None
            continue
        added = follower.links.free(before + after)
        follower.fix(added, "they are added to channels of zeros")
        axes[-1 - place] = np.concatenate([added[:before], labels, added[before:]])
    return [tuple(axes)]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("_prelu_kernel", "masked_fill", "masked_fill_", "hardswish", "hardswish_", "where", "clone"), pointwise
    ),
    "_to_copy": pointwise,
    **dict.fromkeys(("alias", "detach", "lift_fresh", "contiguous", "empty_like", "zeros_like", "ones_like"), _same),
    **dict.fromkeys(("rand_like", "randn_like", "full_like", "native_dropout", "bernoulli"), _same),
    **dict.fromkeys(("zero_", "fill_", "bernoulli_", "uniform_", "normal_", "lift"), _same),
    **dict.fromkeys(("sym_size", "item", "_local_scalar_dense", "empty", "zeros", "ones", "full", "arange"), _nothing),
    **dict.fromkeys(("new_zeros", "new_ones", "new_empty", "new_full", "scalar_tensor", "linspace", "randn"), _nothing),
    **dict.fromkeys(("eye", "rand", "randint", "randperm"), _nothing),
    **dict.fromkeys(("_fft_r2c", "_fft_c2c", "_fft_c2r"), _fft),
    "copy_": _copied_into,
    "constant_pad_nd": _padded,
}
