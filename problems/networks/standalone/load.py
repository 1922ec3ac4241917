"""Load this pruned network; needs torch and safetensors, nothing else.

from load import load_network
outputs = load_network()(images)  # images as config.json describes them
"""

from __future__ import annotations

import runpy
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parent


def load_network(folder: Path | str = HERE) -> torch.nn.Module:
    """Return the network that model.py defines, with the weights of model.safetensors, in eval mode."""
    kind = runpy.run_path(str(Path(folder) / "model.py"))["PrunedNetwork"]
    with torch.device("meta"):  # no memory and no random numbers for weights that are replaced at once
        network: torch.nn.Module = kind()
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True, assign=True)
    return network.eval()
