"""Weights on disk: safetensors, or a state_dict that torch reads without running code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors
import torch
from safetensors.numpy import load_file, save
from safetensors.torch import load_file as load_tensors
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.reading import Weights

__all__ = ["load_into", "load_weights", "save_weights", "weights_origin"]


def save_weights(path: Path, weights: Weights, origin: Mapping[str, str]) -> None:
    """Write weights and where they come from as safetensors; the file appears whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(save(dict(weights), dict(origin)))
    partial.replace(path)


def load_weights(path: Path) -> Weights:
    """Return the weights that `save_weights` wrote.

    Raises:
        ConfigError: The file is damaged.
    """
    try:
        found: dict[str, np.typing.NDArray[np.float32]] = load_file(path)
    except safetensors.SafetensorError as error:
        raise ConfigError(
            f"{path.name} cannot be read as safetensors: {error}; remove it and it is made again"
        ) from error
    return found


def weights_origin(path: Path) -> dict[str, str]:
    """Return what `save_weights` wrote about where the weights come from."""
    with safetensors.safe_open(path, framework="numpy") as opened:
        return dict(opened.metadata() or {})


def load_into(network: nn.Module, path: Path) -> None:
    """Load a state_dict from `path` into the network: safetensors by its suffix, else torch's own format.

    Raises:
        ConfigError: There is no such file, it holds anything but tensors (code is never run), or they do not fit.
    """
    if not path.is_file():
        raise ConfigError(f"weights: no file {str(path)!r}; expected safetensors or a state_dict saved by torch")
    state = _safetensors(path) if path.suffix == ".safetensors" else _torch_state(path)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise ConfigError(f"weights: {path.name} does not fit the network: {error}") from error


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(path)
    except safetensors.SafetensorError as error:
        raise ConfigError(f"weights: {path.name} cannot be read as safetensors: {error}") from error


def _torch_state(path: Path) -> dict[str, torch.Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types here; each means that the file is not plain tensors
        raise ConfigError(
            f"weights: {path.name} is refused: it is damaged or holds more than tensors, and loading that could run "
            "code; save the state_dict with safetensors.torch.save_file and give that file"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ConfigError(
            f"weights: {path.name}: expected a state_dict of tensors, found {type(state).__name__}; "
            "save network.state_dict() with safetensors.torch.save_file and give that file"
        )
    return state
