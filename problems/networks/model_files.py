"""Writing a pruned network into a folder that needs only torch and safetensors to be loaded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.export import Dim, ExportedProgram

from emoprune.problems.networks.architecture import Architecture

__all__ = ["FORMAT_VERSION", "as_safetensors", "write_json", "write_network"]

FORMAT_VERSION = 1


def write_network(folder: Path, network: nn.Sequential, architecture: Architecture, plan: Mapping[str, Any]) -> None:
    """Write model.safetensors, model.pt2, config.json and load.py.

    Args:
        folder: Made if it is not there.
        network: On the CPU, in eval mode.
        architecture: The network's own layers and shapes.
        plan: JSON-able; goes into config.json beside the layers and the input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(as_safetensors(network))
    torch.export.save(_program(network, architecture), folder / "model.pt2")
    write_json(folder / "config.json", _config(architecture, plan))
    with as_file(files("emoprune.problems.networks.standalone") / "load.py") as source:
        shutil.copyfile(source, folder / "load.py")


def as_safetensors(network: nn.Module) -> bytes:
    """Return the network's weights and statistics as the bytes of a safetensors file."""
    return save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON for people to read, a list of numbers on one line; NaN is refused because JSON has none."""
    text = json.dumps(content, indent=2, allow_nan=False)
    # Only lists without lists or objects in them match; a line break cannot occur inside a JSON string.
    text = re.sub(r"\[\n[^\]\[{}]*\n *\]", lambda found: re.sub(r"\n *", " ", found[0]), text)
    path.write_text(text + "\n", encoding="utf-8")


def _config(architecture: Architecture, plan: Mapping[str, Any]) -> dict[str, Any]:
    layers = [{"path": layer.path, "kind": layer.kind, "options": layer.options} for layer in architecture.layers]
    images = {"shape": ["batch", *architecture.input_shape], "dtype": "float32"}
    return {"format_version": FORMAT_VERSION, **plan, "input": images, "layers": layers}


def _program(network: nn.Sequential, architecture: Architecture) -> ExportedProgram:
    example = torch.zeros((2, *architecture.input_shape))
    program = torch.export.export(network, (example,), dynamic_shapes=({0: Dim("batch")},))
    for node in program.graph.nodes:
        # Stack traces would carry this computer's folder names to whoever gets the file.
        node.meta.pop("stack_trace", None)
    return program
