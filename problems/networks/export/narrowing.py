"""What has to change of a network that its own code makes at full size, so that a pruned one's weights fit into it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError

__all__ = ["narrowed_layers"]


def narrowed_layers(unpruned: nn.Module, pruned: nn.Module) -> dict[str, dict[str, Any]]:
    """Return by path of a module its settings that differ, and its tensors' shapes that differ, as plain data.

    Raises:
        ContractError: The networks are not made of the same modules.
        ConfigError: A tensor differs that the network keeps out of its state_dict, so that no file would hold it.
    """
    before, after = dict(unpruned.named_modules()), dict(pruned.named_modules())
    if before.keys() != after.keys():
        raise ContractError(f"export: expected the same modules before and after, found {before.keys() ^ after.keys()}")
    found = {}
    for path, module in after.items():
        settings = _settings(before[path], module)
        shapes = _shapes(path, before[path], module)
        if settings or shapes:
            found[path] = {"settings": settings, "shapes": shapes}
    return found


def _settings(before: nn.Module, after: nn.Module) -> dict[str, int | list[int]]:
    """Return the whole numbers, alone or in tuples and lists, that are others than before."""
    changed: dict[str, int | list[int]] = {}
    for name, value in vars(after).items():
        if _is_whole(value) and value != vars(before).get(name):
            changed[name] = value if isinstance(value, int) else list(value)
    return changed


def _is_whole(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, tuple | list) and all(isinstance(each, int) for each in value))


def _shapes(path: str, before: nn.Module, after: nn.Module) -> dict[str, list[int]]:
    stored = after.state_dict()
    changed = {}
    for name, tensor in _own_tensors(after).items():
        other = _own_tensors(before)[name]
        if name not in stored and not (tensor.shape == other.shape and torch.equal(tensor.cpu(), other.cpu())):
            raise ConfigError(
                f"export: {path + '.' + name!r} was pruned, but the network keeps it out of its state_dict, so no file "
                "can hold it; register it with persistent=True"
            )
        if tensor.shape != other.shape:
            changed[name] = list(tensor.shape)
    return changed


def _own_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
