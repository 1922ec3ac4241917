"""A layer of torch.nn as the expression that makes it again."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from emoprune.errors import EmopruneError

__all__ = ["STEP", "NotDefinable", "call", "expression", "is_leaf", "is_plain_sequence"]

LINE = 88  # characters after which an expression is broken into lines; the name it is assigned to comes on top
STEP = "    "

_ABSENT = object()
_WHERE = {"device", "dtype"}  # arguments of every layer that say where and in what its tensors are made


class NotDefinable(EmopruneError):
    """This network cannot be written down as code that needs torch alone."""


def is_plain_sequence(module: nn.Module) -> bool:
    """Whether it runs its children one after the other and nothing else."""
    return isinstance(module, nn.Sequential) and _runs_as(module, nn.Sequential)


def is_leaf(module: nn.Module) -> bool:
    """Whether it is one of torch's own layers, or a sequence of nothing but such, run as torch runs it."""
    if is_plain_sequence(module):
        return all(is_leaf(child) for child in module)  # type: ignore[attr-defined]  # a Sequential has its children
    kind = type(module)
    holder = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict) or kind is nn.Module
    return getattr(nn, kind.__name__, None) is kind and not holder and _runs_as(module, kind)


def _runs_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether neither a hook nor a method of its own changes how it runs."""
    hooked = module._forward_hooks or module._forward_pre_hooks  # noqa: SLF001  # torch has no other way to ask
    return type(module).forward is kind.forward and not hooked and "forward" not in vars(module)


def expression(module: nn.Module, indent: str = "") -> str:
    """Return the expression, over names of `torch.nn`, that makes a leaf with tensors of the same shapes.

    Args:
        module: What `is_leaf` accepts.
        indent: What the line begins with that the expression stands in.

    Raises:
        NotDefinable: The arguments it was made with cannot be read off it.
    """
    if not isinstance(module, nn.Sequential):
        return _layer(module)
    inner = indent + STEP
    if list(module._modules) == [str(number) for number in range(len(module))]:  # noqa: SLF001  # the names only
        items = [expression(child, inner) for child in module]
        return call("nn.Sequential", items, indent)
    pairs = [f"({json.dumps(name)}, {expression(child, inner)})" for name, child in module.named_children()]
    return call("nn.Sequential", pairs, indent, ("(OrderedDict([", "]))"))


def call(function: str, arguments: list[str], indent: str, brackets: tuple[str, str] = ("(", ")")) -> str:
    """Return a call on one line, or with one argument per line where it would be too long."""
    joined = ", ".join(arguments)
    if "\n" not in joined and len(indent) + len(function) + len(joined) < LINE:
        return f"{function}{brackets[0]}{joined}{brackets[1]}"
    lines = "".join(f"{indent}{STEP}{argument},\n" for argument in arguments)
    return f"{function}{brackets[0]}\n{lines}{indent}{brackets[1]}"


def _layer(module: nn.Module) -> str:
    given = _arguments(module)
    for arguments in ({name: _one_for_all(value) for name, value in given.items()}, given):
        shown = _without_defaults(type(module), arguments)
        if _makes(module, shown):
            return f"nn.{type(module).__name__}({_written(type(module), shown)})"
    raise NotDefinable(f"its {type(module).__name__} cannot be made again from what it says of itself")


def _parameters(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = inspect.signature(kind).parameters
    return {name: each for name, each in found.items() if each.kind in named and name not in _WHERE}


def _arguments(module: nn.Module) -> dict[str, Any]:
    """Return what the layer's constructor was given, as far as the layer keeps it under the same name."""
    found = {}
    for name in _parameters(type(module)):
        value = getattr(module, name, _ABSENT)
        if value is not _ABSENT:
            found[name] = value is not None if name == "bias" else _literal(value, type(module))
    return found


def _literal(value: object, kind: type[nn.Module]) -> object:
    if isinstance(value, tuple | list):
        return tuple(_literal(each, kind) for each in value)
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise NotDefinable(f"its {kind.__name__} was made with a {type(value).__name__}, which is not plain data")


def _one_for_all(value: object) -> object:
    """Return 3 for (3, 3): layers for images take one number for both directions."""
    if isinstance(value, tuple) and len(value) > 1 and len(set(value)) == 1:
        return value[0]
    return value


def _without_defaults(kind: type[nn.Module], arguments: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: parameter.default for name, parameter in _parameters(kind).items()}
    return {name: value for name, value in arguments.items() if defaults[name] is not value != defaults[name]}


def _written(kind: type[nn.Module], arguments: Mapping[str, Any]) -> str:
    required = {name for name, each in _parameters(kind).items() if each.default is inspect.Parameter.empty}
    return ", ".join(repr(value) if name in required else f"{name}={value!r}" for name, value in arguments.items())


def _makes(module: nn.Module, arguments: Mapping[str, Any]) -> bool:
    """Whether a layer made with these arguments has the same settings, and tensors of the same shapes and types."""
    try:
        with torch.device("meta"):
            made = type(module)(**arguments)
    except (TypeError, ValueError, RuntimeError, AssertionError):
        return False
    ours = {**vars(nn.Module()), "training": None}
    settings = {name: value for name, value in vars(made).items() if name not in ours}
    same = all(_alike(vars(module).get(name, _ABSENT), value) for name, value in settings.items())
    return same and repr(module) == repr(made) and _tensors(module) == _tensors(made)


def _alike(found: object, made: object) -> bool:
    tuples = isinstance(found, tuple) and isinstance(made, tuple)
    return found is made or ((tuples or type(found) is type(made)) and bool(found == made))


def _tensors(module: nn.Module) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in module.state_dict().items()}
