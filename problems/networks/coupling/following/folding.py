"""Channels that become places and places that become channels, and channels that are shuffled, by torch itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.follower import Follower, Rule

__all__ = ["RULES"]


def _pixel_shuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, factor = follower.own(call), call.args[1]
    labels = axes[-3]
    if labels is not None:
        first = labels.reshape(-1, factor * factor)[:, 0]
        follower.join(labels, np.repeat(first, factor * factor))
        axes[-3] = first
    return [tuple(axes)]


def _pixel_unshuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, factor = follower.own(call), call.args[1]
    own = axes[-3]
    axes[-3] = None if own is None else np.repeat(own, factor * factor)
    return [tuple(axes)]


def _channel_shuffle(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, groups = follower.own(call), call.args[1]
    labels = axes[1]
    if labels is not None:
        axes[1] = follower.alike(labels, len(labels) // groups).reshape(groups, -1).T.ravel()
    return [tuple(axes)]


def _im2col(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    own = axes[-3]
    patch = math.prod(call.args[1])
    return [(*axes[:-3], None if own is None else np.repeat(own, patch), None)]


def _col2im(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    labels, patch = axes[-2], math.prod(call.args[2])
    first: Labels | None = None
    if labels is not None:
        first = labels.reshape(-1, patch)[:, 0]
        follower.join(labels, np.repeat(first, patch))
    return [(*axes[:-2], first, None, None)]


def _unfold(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = follower.own(call)
    follower.fix(axes[call.args[1]], "windows are taken over neighbouring channels")
    axes[call.args[1]] = None
    return [(*axes, None)]


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), _channel_shuffle),
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "im2col": _im2col,
    "col2im": _col2im,
    "unfold": _unfold,
}
