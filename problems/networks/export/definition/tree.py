"""A network's layers and tensors, by path, as the statements of a constructor."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import nn

from emoprune.problems.networks.export.definition.layers import STEP, call, expression
from emoprune.problems.networks.export.definition.words import is_name

__all__ = ["INDENT", "Tree", "constructor_lines", "spoken", "tree_of"]

INDENT = 2 * STEP

_PLAIN = "nn.Module()"

Tree = dict[str, "nn.Module | torch.Tensor | Tree"]


def tree_of(leaves: Mapping[str, nn.Module | torch.Tensor]) -> Tree:
    """Return leaves by path as a tree, in the given order but for what is numbered."""
    root: Tree = {}
    for path, leaf in leaves.items():
        *parents, name = path.split(".")
        node = root
        for parent in parents:
            inner = node.setdefault(parent, {})
            assert isinstance(inner, dict)  # noqa: S101  # torch has no leaf inside of a leaf; narrows the type
            node = inner
        node[name] = leaf
    return _in_order(root)


def _in_order(tree: Tree) -> Tree:
    names = sorted(tree, key=int) if all(name.isdecimal() for name in tree) else list(tree)
    members = ((name, tree[name]) for name in names)
    return {name: _in_order(node) if isinstance(node, dict) else node for name, node in members}


def spoken(tree: Tree, path: str) -> str:
    """Return how Python names the module or tensor at `path`, starting from `self`."""
    written, node = "self", tree
    for part in path.split("."):
        written = f"{written}{_step(node, part, listed=node is not tree and _is_list(node))}"
        inner = node[part]
        node = inner if isinstance(inner, dict) else {}
    return written


def _step(holder: Tree, name: str, *, listed: bool) -> str:
    if is_name(name):
        return f".{name}"
    if listed:
        return f"[{name}]"
    node = holder[name]
    kind = (
        "parameter" if isinstance(node, nn.Parameter) else "buffer" if isinstance(node, torch.Tensor) else "submodule"
    )
    return f".get_{kind}({json.dumps(name)})"


def _is_list(tree: Tree) -> bool:
    """Whether its members are modules numbered from 0 without gaps."""
    numbered = list(tree) == [str(number) for number in range(len(tree))]
    return numbered and not any(isinstance(each, torch.Tensor) for each in tree.values())


def constructor_lines(tree: Tree) -> list[str]:
    """Return the statements that make all of it, each with the constructor's indent.

    Raises:
        NotDefinable: A layer cannot be made again.
    """
    # The network itself is no list: members that are numbered get their names one by one.
    return [line for name, node in tree.items() for line in _made("self", name, node)]


def _made(holder: str, name: str, node: nn.Module | torch.Tensor | Tree) -> list[str]:
    if isinstance(node, torch.Tensor):
        return [f"{INDENT}{_tensor(holder, name, node)}"]
    value = expression(node, INDENT) if isinstance(node, nn.Module) else _container(node)
    if is_name(name):
        place, lines = f"{holder}.{name}", [f"{INDENT}{holder}.{name} = {value}"]
    else:
        written = json.dumps(name)
        place, lines = f"{holder}.get_submodule({written})", [f"{INDENT}{holder}.add_module({written}, {value})"]
    return lines + (_members(place, node) if isinstance(node, dict) else [])


def _container(tree: Tree) -> str:
    if not _is_list(tree):
        return _PLAIN
    inner = INDENT + STEP
    members = [expression(each, inner) if isinstance(each, nn.Module) else _PLAIN for each in tree.values()]
    if len(members) > 1 and set(members) == {_PLAIN}:
        return f"nn.ModuleList({_PLAIN} for _ in range({len(members)}))"
    return call("nn.ModuleList", members, INDENT, ("([", "])"))


def _members(place: str, tree: Tree) -> list[str]:
    if not _is_list(tree):
        return [line for name, node in tree.items() for line in _made(place, name, node)]
    lines = []
    for name, node in tree.items():
        if isinstance(node, dict):
            if _is_list(node):  # in a list of lists the inner ones replace the plain modules
                lines.append(f"{INDENT}{place}[{name}] = {_container(node)}")
            lines += _members(f"{place}[{name}]", node)
    return lines


def _tensor(holder: str, name: str, tensor: torch.Tensor) -> str:
    kind = [] if tensor.dtype == torch.float32 else [f"dtype={tensor.dtype}"]
    shape = list(map(str, tensor.shape)) or ["()"]
    empty = f"torch.empty({', '.join(shape + kind)})"
    if not isinstance(tensor, nn.Parameter):
        return f"{holder}.register_buffer({json.dumps(name)}, {empty})"
    parameter = f"nn.Parameter({empty}{'' if tensor.is_floating_point() else ', requires_grad=False'})"
    return (
        f"{holder}.{name} = {parameter}"
        if is_name(name)
        else f"{holder}.register_parameter({json.dumps(name)}, {parameter})"
    )
