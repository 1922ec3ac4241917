"""Real slicing: a network of the same classes whose tensors hold only the channels that stay."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from types import MethodType

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.kinds import BUFFER, NUMBER, PARAMETER
from emoprune.problems.networks.coupling.structure import Kept, Part, Structure, Wiring

__all__ = ["clone", "family_of", "pruned_module", "set_number", "tensors_of", "with_tensors"]

# Per kind: which axis of the weight holds outgoing and incoming channels, and the attributes that count them.
_AXES = {"Conv": (0, 1), "ConvTranspose": (1, 0), "Linear": (0, 1)}
_OUTGOING = {
    "Conv": "out_channels",
    "Linear": "out_features",
    "BatchNorm": "num_features",
    "InstanceNorm": "num_features",
    "GroupNorm": "num_channels",
    "LayerNorm": "normalized_shape",
    "PReLU": "num_parameters",
}
_TENSORS = frozenset({"weight", "bias", "running_mean", "running_var"})
_INCOMING = {"Conv": "in_channels", "Linear": "in_features"}


def clone(module: nn.Module) -> nn.Module:
    """Return a copy of the module tree that shares every tensor; giving one of its modules a tensor changes it alone.

    A hundred times cheaper than `copy.deepcopy`, which every candidate would otherwise pay for.
    """
    return _cloned(module, {})


def _cloned(module: nn.Module, seen: dict[int, nn.Module]) -> nn.Module:
    if id(module) not in seen:
        made: nn.Module = module.__class__.__new__(module.__class__)
        seen[id(module)] = made
        made.__dict__.update(module.__dict__)
        for name, value in module.__dict__.items():
            if isinstance(value, OrderedDict):  # hooks: those put on a copy must not run in the unpruned network
                made.__dict__[name] = OrderedDict(value)
            elif (
                isinstance(value, MethodType) and value.__self__ is module
            ):  # a forward that was chosen when it was made
                made.__dict__[name] = MethodType(value.__func__, made)
        for tensors in ("_parameters", "_buffers"):
            made.__dict__[tensors] = dict(module.__dict__[tensors])
        made.__dict__["_modules"] = {
            name: None if child is None else _cloned(child, seen) for name, child in module.__dict__["_modules"].items()
        }
    return seen[id(module)]


def pruned_module(network: nn.Module, structure: Structure, kept: Kept) -> nn.Module:
    """Return a network that has only the units `kept` of each coupling group; tensors that lose nothing are shared.

    Raises:
        ContractError: `kept` leaves a group without units, names ones it does not have, or a part did not come out as
            wide as it was decoded.
    """
    _check(structure, kept)
    varying = [part for part in structure.parts if part.varies]  # of the others, whatever they are, nothing is touched
    sliced = {name: tensor for part in varying for name, tensor in _sliced(network, part, kept).items()}
    made = with_tensors(network, sliced)
    for part in varying:
        _count_anew(made, part, kept)
    _check_widths(made, structure, kept)
    return made


def with_tensors(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """Return a clone of `network` in which the parameters and buffers named in `tensors` are these."""
    made = clone(network)
    for name, tensor in tensors.items():
        path, _, own = name.rpartition(".")
        module = made.get_submodule(path)
        if own in module._parameters:  # noqa: SLF001  # setattr would check and register, ten times slower
            module._parameters[own] = nn.Parameter(tensor, requires_grad=False)  # noqa: SLF001
        else:
            module._buffers[own] = tensor  # noqa: SLF001
    return made


def _check(structure: Structure, kept: Kept) -> None:
    for group, units in zip(structure.groups, kept, strict=True):
        rising = units.size > 0 and (units[1:] > units[:-1]).all()
        if not rising or units[0] < 0 or units[-1] >= group.units:
            raise ContractError(
                f"coupling group {group.name!r}: expected rising indices of 1 to {group.units} units to keep, "
                f"found {units.tolist()}"
            )


def family_of(part: Part) -> str:
    """Return the family of a part's kind: `Conv` for Conv1d to Conv3d, `BatchNorm`, ..."""
    return part.kind.rstrip("123d") if part.kind[-1] == "d" else part.kind


def tensors_of(network: nn.Module, part: Part) -> dict[str, torch.Tensor]:
    """Return a layer's own parameters and buffers by their full names, or the bare tensor.

    Scalars have no channels; a layer's tensors beside those that torch gives it are bare ones.
    """
    if part.kind == PARAMETER:
        return {part.path: network.get_parameter(part.path)}
    if part.kind == BUFFER:
        return {part.path: network.get_buffer(part.path)}
    if part.kind == NUMBER:
        return {}
    module = network.get_submodule(part.path)
    own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
    return {f"{part.path}.{name}": tensor for name, tensor in own.items() if tensor.ndim > 0 and name in _TENSORS}


def _sliced(network: nn.Module, part: Part, kept: Kept) -> dict[str, torch.Tensor]:
    outgoing, incoming = _staying(part.outgoing, kept), _staying(part.incoming, kept)
    made = {}
    for name, tensor in tensors_of(network, part).items():
        cut = tensor.detach()
        if part.weighted and tensor.ndim > 1:
            out_axis, in_axis = _AXES[family_of(part)]
            cut = _selected(cut, out_axis, outgoing)
            cut = cut if part.depthwise else _selected(cut, in_axis, _within_conv_group(part, incoming))
        else:
            cut = _selected(cut, part.dimension, outgoing)
        if cut is not tensor:
            made[name] = cut
    return made


def _staying(wiring: Wiring | None, kept: Kept) -> torch.Tensor | None:
    """Return the indices of the channels that stay, or None if all do."""
    if wiring is None:
        return None
    staying = wiring.staying(kept)
    return None if len(staying) == len(wiring) else torch.from_numpy(staying)


def _within_conv_group(part: Part, incoming: torch.Tensor | None) -> torch.Tensor | None:
    """Return the axis indices of a grouped convolution's weight: the same in every convolution group by coupling."""
    if incoming is None or part.conv_groups == 1 or part.incoming is None:
        return incoming
    per_group = len(part.incoming) // part.conv_groups
    return incoming[incoming < per_group]


def _selected(tensor: torch.Tensor, axis: int, indices: torch.Tensor | None) -> torch.Tensor:
    return tensor if indices is None else tensor.index_select(axis, indices.to(tensor.device))


def _count_anew(network: nn.Module, part: Part, kept: Kept) -> None:
    """Let a module's own counts of its channels follow its tensors."""
    if part.kind in {PARAMETER, BUFFER}:
        return
    if part.kind == NUMBER and part.outgoing is not None:
        set_number(network, part.path, len(part.outgoing.staying(kept)))
        return
    own, family = network.get_submodule(part.path).__dict__, family_of(part).removesuffix("Transpose")
    outgoing = None if part.outgoing is None else len(part.outgoing.staying(kept))
    incoming = None if part.incoming is None else len(part.incoming.staying(kept))
    if outgoing is not None:
        own[_OUTGOING[family]] = (outgoing,) if family == "LayerNorm" else outgoing
    if incoming is not None and part.weighted:
        own[_INCOMING[family]] = incoming
        if part.depthwise:
            own["groups"] = incoming


def set_number(network: nn.Module, path: str, value: int) -> None:
    """Give a module's attribute, or the place in it if it holds several numbers, another number."""
    parent, _, name = path.rpartition(".")
    if name.isdecimal():
        parent, _, attribute = parent.rpartition(".")
        own = network.get_submodule(parent).__dict__
        held = list(own[attribute])
        held[int(name)] = value
        own[attribute] = type(own[attribute])(held)
    else:
        network.get_submodule(parent).__dict__[name] = value


def _check_widths(network: nn.Module, structure: Structure, kept: Kept) -> None:
    """Law: built is what was decoded. A group that silently stayed whole would be ranked as something it is not."""
    for part in structure.weighted:
        if not part.varies:
            continue
        weight = network.get_submodule(part.path).weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101  # a weighted part has one; narrows the type
        decoded = len(part.outgoing.staying(kept)) if part.outgoing is not None else None
        built = weight.shape[_AXES[family_of(part)][0]]
        if decoded is not None and built != decoded:
            raise ContractError(f"layer {part.path!r}: decoded to {decoded} channels, but the built one has {built}")
