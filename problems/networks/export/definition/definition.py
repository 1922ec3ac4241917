"""A network as readable code that needs torch alone, and the tensors that go into it."""

from __future__ import annotations

import ast
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from emoprune.problems.networks.export.definition.forward import Forward, forward_of
from emoprune.problems.networks.export.definition.layers import (
    STEP,
    NotDefinable,
    expression,
    is_leaf,
    is_plain_sequence,
)
from emoprune.problems.networks.export.definition.tree import INDENT, Tree, constructor_lines, spoken, tree_of

__all__ = ["CLASS", "Definition", "NotDefinable", "definition_of"]

CLASS = "PrunedNetwork"
AGREED = 1e-4  # of the largest output: another order of sums; a forward that was traced wrongly is off by far more

_DOCUMENTATION = '''\
    """{summary}

    Takes 32-bit images of shape (batch, {shape}) and returns one number per class, shape (batch, {classes}).
    It was traced in eval mode: what the original does in training alone is not here.
    """
'''


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """The source of a module with one class, its state_dict, and the network's tensors that its forward never reads."""

    source: str
    state: Mapping[str, torch.Tensor]
    unread: tuple[str, ...]


def definition_of(network: nn.Module, images: torch.Tensor, summary: str) -> Definition:
    """Return code that makes this network without the code it was written in.

    Args:
        network: On the CPU and in eval mode.
        images: A few, on which the code is tried; shape (n, channels, height, width) with n of 2 or more.
        summary: One line about the network, for its documentation.

    Raises:
        NotDefinable: Its forward cannot be traced, it holds layers that cannot be made again, or the code gives other
            outputs.
    """
    with torch.no_grad():
        expected = network(images)
    shapes = {"shape": ", ".join(map(str, images.shape[1:])), "classes": expected.shape[1]}
    documentation = _DOCUMENTATION.format(summary=summary.replace("\\", "/").replace('"', "'"), **shapes)
    if is_plain_sequence(network) and is_leaf(network):
        source, state = _sequence(network, documentation), dict(network.state_dict())
    else:
        forward = forward_of(network)
        source, state = _traced(forward, documentation), _state(forward)
    made = Definition(source, state, tuple(sorted(set(network.state_dict()) - set(state))))
    _try(made, images, expected)
    return made


def _sequence(network: nn.Module, documentation: str) -> str:
    """Return the code of a network that is a sequence of torch's own layers from end to end."""
    layers = expression(network, INDENT).removeprefix("nn.Sequential")
    imports = ["import torch", "from torch import nn"]
    imports = ["from collections import OrderedDict", "", *imports[1:]] if "OrderedDict" in layers else imports[1:]
    lines = [*imports, "", "", f"class {CLASS}(nn.Sequential):", documentation]
    return "\n".join([*lines, f"{STEP}def __init__(self) -> None:", f"{INDENT}super().__init__{layers}"]) + "\n"


def _traced(forward: Forward, documentation: str) -> str:
    tree = tree_of({**forward.layers, **forward.tensors})
    constructor = [f"{INDENT}super().__init__()", *constructor_lines(tree)]
    standard = ["from collections import OrderedDict"] if any("OrderedDict(" in line for line in constructor) else []
    standard += [line for line in forward.imports if "torch" not in line]
    torchs = ["import torch", "from torch import nn", *(line for line in forward.imports if "torch" in line)]
    imports = [*standard, ""] if standard else []
    lines = [*imports, *torchs, "", "", f"class {CLASS}(nn.Module):", documentation]
    lines += [f"{STEP}def __init__(self) -> None:", *constructor, ""]
    lines += [f"{STEP}def forward(self, images: torch.Tensor) -> torch.Tensor:"]
    return "\n".join([*lines, *(f"{INDENT}{line}" for line in _spoken(forward, tree))]) + "\n"


def _spoken(forward: Forward, tree: Tree) -> list[str]:
    """Return the forward's lines with every layer and tensor named as the constructor names it."""
    places = _Places({accessor: spoken(tree, path) for path, accessor in forward.accessors.items()})
    return [ast.unparse(places.visit(statement)) for statement in forward.statements]


class _Places(ast.NodeTransformer):
    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Replace what is spelled as fx spells a layer or tensor."""
        if isinstance(node, ast.Attribute | ast.Call) and ast.unparse(node) in self._places:
            return ast.parse(self._places[ast.unparse(node)], mode="eval").body
        return super().generic_visit(node)


def _state(forward: Forward) -> dict[str, torch.Tensor]:
    state = {
        f"{path}.{name}": tensor
        for path, layer in forward.layers.items()
        for name, tensor in layer.state_dict().items()
    }
    return state | {path: tensor.detach() for path, tensor in forward.tensors.items()}


def _imported(source: str) -> object:
    """Import the code from a file of its own, as whoever loads the network will, and return its class."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(source, encoding="utf-8")
        loader = SourceFileLoader("model", str(path))
        module = ModuleType("model")
        loader.exec_module(module)
    made: object = getattr(module, CLASS)
    return made


def _try(definition: Definition, images: torch.Tensor, expected: torch.Tensor) -> None:
    """Run the code on all images and on the first alone, and refuse it if it gives other outputs.

    Raises:
        NotDefinable: It does, or it fails.
    """
    try:
        kind = _imported(definition.source)
        assert isinstance(kind, type)  # noqa: S101  # the code declares it; narrows the type
        with torch.device("meta"):
            made: nn.Module = kind()
        made.load_state_dict(dict(definition.state), strict=True, assign=True)
        made.eval()
        with torch.no_grad():
            difference = max(_difference(made(images[:n]), expected[:n]) for n in (1, len(images)))
    except Exception as error:  # whatever the traced code may do wrong, the network is then written another way
        raise NotDefinable(f"its traced code fails ({type(error).__name__}: {error})".splitlines()[0]) from error
    if not difference <= AGREED * max(1.0, expected.abs().max().item()):
        raise NotDefinable(f"its traced code gives other outputs, off by {difference:.3g}")


def _difference(outputs: torch.Tensor, expected: torch.Tensor) -> float:
    same = outputs.shape == expected.shape
    return (outputs - expected).abs().max().item() if same else math.inf
