"""Load this pruned network; needs torch and safetensors, nothing else.

from load import load_network
outputs = load_network()(images)  # images as config.json describes them
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def load_network(folder: Path = HERE) -> torch.nn.Sequential:
    """Return the network as plain layers, rebuilt from config.json and model.safetensors, in eval mode."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    layers = [getattr(torch.nn, layer["kind"])(**layer["options"]) for layer in config["layers"]]
    network = torch.nn.Sequential(*layers)
    network.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    return network.eval()


def load_program(folder: Path = HERE) -> torch.nn.Module:
    """Return the network as the self-contained program in model.pt2, which holds its own graph and weights."""
    return torch.export.load(folder / "model.pt2").module()
