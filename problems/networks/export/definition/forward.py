"""A network's forward as plain Python: traced, checked to need torch alone, and put into readable words."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from emoprune.problems.networks.export.definition.layers import NotDefinable, is_leaf
from emoprune.problems.networks.export.definition.words import is_name, readable_statements

__all__ = ["Forward", "forward_of"]

INPUT = "images"
_INSIDE = "network"
_STANDARD = {"math", "operator", "_operator", "builtins"}


@dataclass(frozen=True, slots=True, eq=False)
class Forward:
    """The traced forward: its statements, the imports they need, and what of the network they use by path.

    `accessors` says by path how the statements spell a layer or tensor.
    """

    statements: tuple[ast.stmt, ...]
    imports: tuple[str, ...]
    layers: Mapping[str, nn.Module]
    tensors: Mapping[str, torch.Tensor]

    @property
    def accessors(self) -> dict[str, str]:
        """How the statements spell each layer and tensor, by path."""
        return {path: _accessor(path) for path in (*self.layers, *self.tensors)}


class _Whole(nn.Module):
    """Calls the network with images alone, so that its other arguments keep their defaults."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.network(images)
        return made


class _Tracer(fx.Tracer):
    """Stops at layers that can be made again, and names everything as the network itself does."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name != _INSIDE and is_leaf(m)

    def create_node(self, kind: str, target: Any, *arguments: Any, **named: Any) -> fx.Node:
        # The stand-in around the network shall not show in any name.
        inside = kind in {"call_module", "get_attr"} and target.startswith(f"{_INSIDE}.")
        return super().create_node(kind, target.removeprefix(f"{_INSIDE}.") if inside else target, *arguments, **named)


def forward_of(network: nn.Module) -> Forward:
    """Return the forward of a network in eval mode.

    Raises:
        NotDefinable: It cannot be traced, or calls what is neither torch's nor Python's own.
    """
    root = _Whole(network)
    try:
        graph = _Tracer().trace(root)
        code = graph.python_code("self")
    except Exception as error:  # a stranger's forward may do anything with the stand-ins for its values
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise NotDefinable(f"its forward cannot be traced ({reason})") from error
    layers, tensors = {}, {}
    for node in graph.nodes:
        if node.op == "call_module":
            layers[node.target] = network.get_submodule(node.target)
        elif node.op == "get_attr":
            tensors[node.target] = _tensor(network, root, node.target)
    statements = readable_statements(code.src)
    imports = _imports(statements, code.globals)
    return Forward(tuple(statements), imports, layers, tensors)


def _tensor(network: nn.Module, root: nn.Module, path: str) -> torch.Tensor:
    """Return a parameter, a buffer, a tensor that is a plain attribute, or a constant made while tracing."""
    parent, _, name = path.rpartition(".")
    holder = root if path in vars(root) else network
    found = getattr(holder.get_submodule(parent), name, None)
    if not isinstance(found, torch.Tensor):
        raise NotDefinable(f"its forward reads {path!r}, which is a {type(found).__name__} and not a tensor")
    return found


def _accessor(path: str) -> str:
    """Return how fx writes the module or tensor of that path, once made familiar."""
    written = "self"
    for part in path.split("."):
        written = f"{written}.{part}" if is_name(part) else f"getattr({written}, {part!r})"
    return written


def _imports(statements: list[ast.stmt], known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines that import what the statements use.

    Raises:
        NotDefinable: That is neither torch's nor Python's own.
    """
    used = {node.id for each in statements for node in ast.walk(each) if isinstance(node, ast.Name)}
    lines = {"from torch.nn import functional"} if "functional" in used else set()
    for name in used & set(known) - {"torch", "functional"}:
        if known[name] is not getattr(builtins, name, None):
            lines.add(_import(name, known[name]))
    return tuple(sorted(lines))


def _import(name: str, value: Any) -> str:
    if value is torch.device:
        return f"from torch import device as {name}"
    if isinstance(value, float):  # inf and nan, which Python has no literals for
        return f"from math import {name}"
    module, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
    if module in _STANDARD and own is not None and is_name(own):
        return f"from {module.lstrip('_')} import {own} as {name}"
    raise NotDefinable(f"its forward calls {own or name} of {module}, which needs more than torch")
