"""Operations over whole axes: sums, means, norms, softmax; over channels they see those that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from emoprune.problems.networks.coupling.following.axes import Axes, Labels
from emoprune.problems.networks.coupling.following.calls import Call
from emoprune.problems.networks.coupling.following.follower import Follower, Rule

__all__ = ["RULES", "selection", "summing"]


def _dimensions(call: Call, dimensions: int) -> list[int]:
    """Return the axes over which a reduction goes."""
    name = call.name.partition(".")[0]
    place = 2 if name == "linalg_vector_norm" or call.name.startswith(("norm.Scalar", "norm.Dim")) else 1
    if call.name.startswith("norm.ScalarOpt_dim"):
        place = 2
    asked = call.args[place] if len(call.args) > place else call.kwargs.get("dim")
    if isinstance(asked, bool) or asked is None or (isinstance(asked, list | tuple) and not asked):
        return list(range(dimensions))
    asked = [asked] if isinstance(asked, int) else list(asked)
    return [axis % dimensions for axis in asked if isinstance(axis, int)]


def _reduced(follower: Follower, call: Call) -> Sequence[Axes]:
    """Take away the axes over which is computed."""
    value = call.args[0]
    axes = follower.axes(value) or ()
    gone = set(_dimensions(call, value.ndim))
    first = call.output[0] if isinstance(call.output, tuple) else call.output
    kept = isinstance(first, Tensor) and first.ndim == value.ndim
    made = tuple(None if axis in gone else own for axis, own in enumerate(axes) if kept or axis not in gone)
    return [made] * (len(call.output) if isinstance(call.output, tuple) else 1)


def _same(follower: Follower, call: Call) -> Sequence[Axes]:
    return [follower.axes(call.args[0]) or ()] * (len(call.output) if isinstance(call.output, tuple) else 1)


def _ordered(follower: Follower, call: Call) -> Sequence[Axes]:
    """Compute along an axis, its order taken for what it is."""
    axes = list(follower.axes(call.args[0]) or ())
    numbers = [value for value in (*call.args[1:], call.kwargs.get("dim")) if type(value) is int]
    axis = numbers[-1] if call.name.startswith(("topk", "kthvalue")) and len(numbers) > 1 else (numbers or [-1])[0]
    follower.fix(axes[axis], f"{call.name.partition('.')[0]} depends on the order of channels")
    axes[axis] = None
    return [tuple(axes)] * (len(call.output) if isinstance(call.output, tuple) else 1)


def _layer_norm(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = list(follower.axes(call.args[0]) or ())
    for tensor in call.args[2:4]:
        own = follower.axes(tensor) or ()
        for place in range(1, len(own) + 1):
            axes[-place] = follower.join(axes[-place], own[-place])
    return [tuple(axes), (), ()]


def _batch_norm(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = list(follower.axes(call.args[0]) or ())
    for tensor in call.args[1:5]:
        own = follower.axes(tensor)
        if own is not None:
            axes[1] = follower.join(axes[1], own[0])
    return [tuple(axes), (), ()]


def _group_norm(follower: Follower, call: Call) -> Sequence[Axes]:
    axes, groups = list(follower.axes(call.args[0]) or ()), call.args[6]
    labels = axes[1]
    for tensor in call.args[1:3]:
        own = follower.axes(tensor)
        if own is not None:
            labels = follower.join(labels, own[0])
    axes[1] = None if labels is None else follower.alike(labels, len(labels) // groups)
    return [tuple(axes), (), ()]


def _halved(follower: Follower, call: Call) -> Sequence[Axes]:
    axes = list(follower.axes(call.args[0]) or ())
    axis = call.args[1] if len(call.args) > 1 else -1
    labels: Labels | None = axes[axis]
    if labels is not None:
        half = len(labels) // 2
        axes[axis] = follower.alike(labels, half)[:half]
    return [tuple(axes)]


_REDUCED = (
    *("mean", "sum", "var", "std", "amax", "amin", "max", "min", "prod", "logsumexp", "linalg_vector_norm", "norm"),
    *("any", "all", "var_mean", "std_mean", "nansum", "aminmax"),
)
_SOFTMAX = ("_softmax", "_log_softmax", "_safe_softmax")

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_REDUCED, _reduced),
    **dict.fromkeys(_SOFTMAX, _same),
    **dict.fromkeys(("cumsum", "cumprod", "sort", "topk", "kthvalue", "argmax", "argmin", "median", "mode"), _ordered),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"), _batch_norm),
    **dict.fromkeys(("_native_batch_norm_legit_no_training", "_batch_norm_with_update"), _batch_norm),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "glu": _halved,
}


def selection(call: Call, axes: Sequence[Axes | None]) -> dict[int, list[tuple[int, Labels]]]:
    """Return, by argument, the axes over which an operation computes and the channels along them."""
    name, own = call.name.partition(".")[0], axes[0] if axes else None
    if own is None:
        return {}
    over: Sequence[int] = ()
    if name in _REDUCED:
        over = _dimensions(call, len(own)) if len(call.args) < 2 or not isinstance(call.args[1], Tensor) else ()
    elif name in _SOFTMAX:
        over = [call.args[1] % len(own)]
    elif name == "native_layer_norm":
        return _with_weights(own, range(len(own) - len(call.args[1]), len(own)), call.args, (2, 3))
    elif name == "native_group_norm":
        return _with_weights(own, [1], call.args, (1, 2))
    elif name.endswith("batch_norm") and len(call.args) > 5 and call.args[5] is True:
        over = [axis for axis in range(len(own)) if axis != 1]
    elif name == "convolution":
        over = range(len(own) - call.args[1].ndim + 2, len(own))
    return {0: [(axis, labels) for axis in over if (labels := own[axis]) is not None]}


def summing(call: Call, axes: Sequence[Axes | None]) -> dict[int, list[tuple[int, Labels]]]:
    """Return, by argument, the axis over which a product sums and the channels along it."""
    name = call.name.partition(".")[0]
    place = 1 if name in {"addmm", "baddbmm", "addbmm"} else 0
    own = axes[place] if len(axes) > place else None
    if not own or name not in {"mm", "bmm", "mv", "linear", "convolution", "addmm", "baddbmm", "addbmm"}:
        return {}
    axis = len(own) - call.args[1].ndim + 1 if name == "convolution" else len(own) - 1
    labels = own[axis]
    return {} if labels is None else {place: [(axis, labels)]}


def _with_weights(
    own: Axes, over: Sequence[int], args: Sequence[Any], weights: Sequence[int]
) -> dict[int, list[tuple[int, Labels]]]:
    found = {0: [(axis, labels) for axis in over if (labels := own[axis]) is not None]}
    for place in weights:
        if isinstance(args[place], Tensor):
            found[place] = [(axis - over[0], labels) for axis, labels in found[0]]
    return found
