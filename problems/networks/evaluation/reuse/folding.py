"""Convolutions that take over the batch norm after them, and activations that overwrite what they take in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

import torch
from torch import fx, nn
from torch.nn import functional

from emoprune.problems.networks.coupling.pruned_module import with_tensors

__all__ = ["folded", "foldings", "overwriting"]

_FOLDED = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FRESH = (*_FOLDED, *_NORMS, nn.Linear)  # their outputs share no memory with what they take in
_RELU = {torch.relu, functional.relu}


def foldings(graph: fx.Graph, root: nn.Module, whole: Collection[fx.Node]) -> Mapping[str, str]:
    """Return for each convolution whose outputs go to a batch norm and nowhere else the path of that batch norm.

    Args:
        graph: The steps of a forward.
        root: Its modules.
        whole: Steps whose values are taken as they are, so that nothing may be folded into them.
    """
    called = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    found = {}
    for node in graph.nodes:
        if node.op != "call_module" or type(root.get_submodule(node.target)) not in _NORMS or len(node.args) != 1:
            continue
        norm, before = root.get_submodule(node.target), node.args[0]
        if not isinstance(norm.running_mean, torch.Tensor) or before.op != "call_module" or before in whole:
            continue
        once = called[str(before.target)] == called[str(node.target)] == 1
        if once and len(before.users) == 1 and type(root.get_submodule(before.target)) in _FOLDED:
            found[str(before.target)] = str(node.target)
    return found


def folded(conv: nn.Module, norm: nn.Module) -> nn.Module:
    """Return a clone of a convolution that gives what the batch norm after it gives in eval mode, but for rounding."""
    assert isinstance(norm, _NORMS)  # noqa: S101  # found as one; narrows the type
    assert isinstance(conv, _FOLDED)  # noqa: S101  # as above
    assert norm.running_mean is not None  # noqa: S101  # as above
    assert norm.running_var is not None  # noqa: S101  # as above
    scale = torch.rsqrt(norm.running_var + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    shift = shift * scale if norm.bias is None else torch.addcmul(norm.bias, shift, scale)
    made = with_tensors(conv, {"weight": conv.weight * scale.view(-1, *(1,) * (conv.weight.ndim - 1))})
    made._parameters["bias"] = nn.Parameter(shift, requires_grad=False)  # noqa: SLF001  # registered, None or not
    return made


def overwriting(steps: Collection[fx.Node], root: nn.Module) -> frozenset[fx.Node]:
    """Return the steps that may change what they take in: nobody else looks at it, and another of the steps made it."""
    return frozenset(node for node in steps if _is_relu(node, root) and _is_alone(node.all_input_nodes, steps, root))


def _is_relu(node: fx.Node, root: nn.Module) -> bool:
    if node.op == "call_module":
        return type(root.get_submodule(str(node.target))) is nn.ReLU
    return node.target in _RELU if node.op == "call_function" else node.op == "call_method" and node.target == "relu"


def _is_alone(inputs: Collection[fx.Node], steps: Collection[fx.Node], root: nn.Module) -> bool:
    (before,) = inputs
    made = before.op == "call_module" and type(root.get_submodule(str(before.target))) in _FRESH
    return before in steps and made and len(before.users) == 1
