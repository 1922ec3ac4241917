"""Load this pruned network; needs torch, safetensors and the code that the network was written in.

from load import load_network
outputs = load_network()(images)  # images as config.json describes them
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def load_network(folder: Path | str = HERE) -> torch.nn.Module:
    """Return the network as its own code makes it, made as narrow as config.json says, with its weights, in eval mode.

    The function that `factory` in config.json names must be importable.
    """
    factory = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["factory"]
    module, _, function = factory["target"].partition(":")
    network: torch.nn.Module = getattr(importlib.import_module(module), function)()
    for path, changes in factory["layers"].items():
        narrow(network.get_submodule(path), changes)
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True)
    return network.eval()


def narrow(layer: torch.nn.Module, changes: dict[str, dict[str, object]]) -> None:
    """Give one layer its new counts, and tensors of the new shapes that are filled afterwards."""
    for name, value in changes["settings"].items():
        before = getattr(layer, name)  # JSON knows no tuples
        setattr(layer, name, tuple(value) if isinstance(before, tuple) and isinstance(value, list) else value)
    for name, shape in changes["shapes"].items():
        tensor = getattr(layer, name)
        narrowed = tensor.detach().new_empty(shape)
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        setattr(layer, name, torch.nn.Parameter(narrowed, tensor.requires_grad) if is_parameter else narrowed)
