"""A network's forward as a graph of steps that can be run one by one, over the modules of any of its variants."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence, Set
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from emoprune.errors import EmopruneError
from emoprune.problems.networks.coupling.pruned_module import clone, with_tensors

__all__ = ["Attributes", "Modules", "NotFollowed", "Values", "modules_of", "run", "traced"]

Values = dict[fx.Node, Any]
Attributes = Callable[[str], Any]
Modules = Callable[[str], nn.Module]

_HALVED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

_OUT_OF_PLACE: dict[Any, Any] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


class NotFollowed(EmopruneError):
    """This network's forward cannot be taken apart; it has to be run as a whole."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Treat batch norms of any make as one step, since their statistics are estimated anew."""
        return isinstance(m, _BatchNorm) or super().is_leaf_module(m, module_qualified_name)


def traced(network: nn.Module) -> tuple[fx.Graph, nn.Module]:
    """Return the steps of a network's forward, none of which changes its inputs, and a module with its constants.

    Raises:
        NotFollowed: The forward decides by its values, changes tensors in ways unknown here, or returns several.
    """
    root = clone(network)  # tracing hangs constants on it
    try:
        graph = _Tracer().trace(root)
    except Exception as error:  # a stranger's forward may do anything with the stand-ins for its values
        raise NotFollowed(f"its forward cannot be traced: {type(error).__name__}: {error}".splitlines()[0]) from error
    graph.eliminate_dead_code(lambda node: node.op in {"placeholder", "output"})
    for node in graph.nodes:
        _without_changing(node)
    _check(graph, root)
    return graph, root


def _without_changing(node: fx.Node) -> None:
    """Let the step make a new value where it would change its input, which may be kept for other candidates."""
    if node.op == "call_function":
        _without_inplace(node)
        function: Any = node.target
        name = getattr(function, "__name__", "")
        if function in _OUT_OF_PLACE:
            node.target = _OUT_OF_PLACE[function]
        elif name.endswith("_") and not name.endswith("__"):
            node.target = _named(torch, name) or _named(nn.functional, name) or _refused(name)
        elif function is operator.setitem or "out" in node.kwargs:
            _refused(name)
    elif node.op == "call_method":
        name = str(node.target)
        if name.endswith("_") and not name.endswith("__"):
            node.target = name[:-1] if hasattr(torch.Tensor, name[:-1]) else _refused(name)


def _without_inplace(node: fx.Node) -> None:
    function: Any = node.target
    try:
        bound = inspect.signature(function).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):  # torch's compiled functions have no signature, and no such argument
        return
    if bound.arguments.get("inplace"):
        bound.arguments["inplace"] = False
        node.args, node.kwargs = bound.args, bound.kwargs


def _named(module: Any, name: str) -> Any:
    return getattr(module, name[:-1], None)


def _refused(name: str) -> Any:
    raise NotFollowed(f"its forward changes a tensor by {name!r}")


def _check(graph: fx.Graph, root: nn.Module) -> None:
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    (output,) = [node for node in graph.nodes if node.op == "output"]
    if len([node for node in inputs if node.users]) != 1:
        raise NotFollowed(f"its forward takes {len(inputs)} values")
    if not isinstance(output.args[0], fx.Node) or output.args[0] is inputs[0]:
        raise NotFollowed("its forward does not return one value")
    for node in graph.nodes:
        if node.op == "get_attr" and str(node.target).endswith((".running_mean", ".running_var")):
            raise NotFollowed(f"its forward takes {str(node.target)!r} past the batch norm that estimates it anew")
    called = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    for path in called:
        module = root.get_submodule(path)
        norms = [inner for inner in module.modules() if isinstance(inner, _BatchNorm)]
        if norms and (norms != [module] or called.count(path) > 1):
            raise NotFollowed(f"the batch norms of {path!r} are not one step each")


def run(
    steps: Sequence[fx.Node],
    values: Values,
    modules: Modules,
    attributes: Attributes,
    overwriting: Set[fx.Node] = frozenset(),
) -> None:
    """Run steps in order and put what each gives into `values`, which holds what they take.

    Those of `overwriting`, each of them a ReLU, change what they take.
    """
    for node in steps:
        if node in overwriting:
            values[node] = torch.relu_(values[node.all_input_nodes[0]])
        else:
            values[node] = _step(node, values, modules, attributes)


def _step(node: fx.Node, values: Values, modules: Modules, attributes: Attributes) -> Any:
    if node.op == "get_attr":
        return attributes(str(node.target))
    arguments = fx.node.map_arg(node.args, values.__getitem__)
    named = fx.node.map_arg(node.kwargs, values.__getitem__)
    if node.op == "call_module":
        return modules(str(node.target))(*arguments, **named)
    if node.op == "call_method":
        return getattr(arguments[0], str(node.target))(*arguments[1:], **named)
    function: Any = node.target
    return function(*arguments, **named)


def modules_of(network: nn.Module, *, halved: bool = False) -> Modules:
    """Return where the modules of a network are found by path, none of which changes its inputs.

    Halved, convolutions and linear layers hold their weights in bfloat16, as autocast would turn them for every batch.
    """
    found: dict[str, nn.Module] = {}

    def module(path: str) -> nn.Module:
        if path not in found:
            found[path] = _prepared(network.get_submodule(path), halved=halved)
        return found[path]

    return module


def _prepared(module: nn.Module, *, halved: bool) -> nn.Module:
    if getattr(module, "inplace", False) is True:
        made = clone(module)
        made.__dict__["inplace"] = False
        return made
    if halved and type(module) in _HALVED:
        weights = {name: parameter.to(torch.bfloat16) for name, parameter in module.named_parameters(recurse=False)}
        return with_tensors(module, weights)
    return module
