"""A user's checkpoint into a network: safetensors, or a state_dict that torch reads without running code."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from emoprune.errors import ConfigError

__all__ = ["load_into"]

State = Mapping[str, torch.Tensor]

_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
_NAMED = 3


def load_into(network: nn.Module, path: Path) -> None:
    """Load a state_dict from `path` into the network: safetensors by its suffix, else torch's own format.

    A state_dict inside a mapping, under `state_dict`, `model` or `model_state_dict`, and names that all begin with
    `module.` (DataParallel) or `_orig_mod.` (torch.compile) are understood.

    Raises:
        ConfigError: There is no such file, it holds anything but tensors (code is never run), or they do not fit.
    """
    if not path.is_file():
        raise ConfigError(f"weights: no file {str(path)!r}; expected safetensors or a state_dict saved by torch")
    found = _safetensors(path) if path.suffix == ".safetensors" else _torch_state(path)
    wanted = network.state_dict()
    state = _without_prefix(found, set(wanted))
    # Asked of the loader itself, because modules may add what an older checkpoint lacks.
    fitting = {name: tensor for name, tensor in state.items() if _shape(wanted.get(name)) in (None, tensor.shape)}
    missing, unexpected = network.load_state_dict(fitting, strict=False)
    misshaped = [f"{name} {(*state[name].shape,)} for {_shape(wanted[name])}" for name in state if name not in fitting]
    complaints = [
        _listed("tensors of another shape than the network's: ", misshaped),
        _listed("missing: ", [name for name in missing if name not in state]),
        _listed("not in the network: ", unexpected),
    ]
    if any(complaints):
        raise ConfigError(
            f"weights: {path.name} does not fit the network; {'; '.join(filter(None, complaints))}. "
            "Give the weights of this very network"
        )


def _shape(tensor: object) -> tuple[int, ...] | None:
    return tuple(tensor.shape) if isinstance(tensor, torch.Tensor) else None


def _listed(words: str, names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{words}{', '.join(names[:_NAMED])}{more}" if names else ""


def _without_prefix(state: State, wanted: set[str]) -> dict[str, torch.Tensor]:
    plain = dict(state)
    for prefix in _PREFIXES:
        if plain and all(name.startswith(prefix) for name in plain) and not wanted & set(plain):
            plain = {name.removeprefix(prefix): tensor for name, tensor in plain.items()}
    return plain


def _safetensors(path: Path) -> State:
    try:
        return load_file(path)
    except safetensors.SafetensorError as error:
        raise ConfigError(f"weights: {path.name} cannot be read as safetensors: {error}") from error


def _torch_state(path: Path) -> State:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickling alone
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types here; each means that the file is not plain tensors
        raise ConfigError(f"weights: {path.name} is refused: {_reason(error)}") from error
    inside = next((found[key] for key in _WRAPPERS if key in found), found) if isinstance(found, dict) else found
    if not isinstance(inside, dict) or not all(isinstance(value, torch.Tensor) for value in inside.values()):
        raise ConfigError(
            f"weights: {path.name}: expected a state_dict of tensors, or one under {', '.join(map(repr, _WRAPPERS))}, "
            f"found {_described(inside)}; save network.state_dict() with safetensors.torch.save_file and give that file"
        )
    return inside


def _reason(error: Exception) -> str:
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code:
        return (
            f"it asks for {code[1]!r}, which is more than tensors and could run code; nothing was run. Save the "
            "state_dict with safetensors.torch.save_file and give that file"
        )
    if "TorchScript" in str(error):
        return "it is a TorchScript program, not weights; save the state_dict of the network that was scripted instead"
    return (
        f"it is damaged or holds more than tensors, and loading that could run code; nothing was run "
        f"({type(error).__name__}). Save the state_dict with safetensors.torch.save_file and give that file"
    )


def _described(found: object) -> str:
    if isinstance(found, dict):
        kinds = {str(key): type(value).__name__ for key, value in list(found.items())[:_NAMED]}
        return f"a dict with {kinds}"
    return type(found).__name__
