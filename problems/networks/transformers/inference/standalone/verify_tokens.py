"""Load an exported policy in a process without emoprune, and say what the model answers. Called by the exporter."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def main(asked: Path, answer: Path) -> None:
    """Write the largest difference of outputs, and the tokens that went into each layer."""
    if "emoprune" in sys.modules:
        raise RuntimeError("emoprune was imported; the folder must load without it")
    request = json.loads(asked.read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    tensors = load_file(request["inputs"])
    inputs = {name.removeprefix("input."): own for name, own in tensors.items() if name.startswith("input.")}
    import transformers

    model = getattr(transformers, request["factory"]).from_pretrained(request["model"], dtype=torch.float32).eval()
    load = runpy.run_path(str(Path(request["folder"]) / "load_tokens.py"))
    model = load["patched"](model, request["folder"])
    with torch.inference_mode():
        first = model(**inputs)[0]
    outputs = first if "weight" not in tensors else _classified(first, inputs, tensors)
    found = {
        "difference": float((outputs - tensors["outputs"]).abs().max()),
        "used": model.dropping.used.tolist(),
    }
    answer.write_text(json.dumps(found), encoding="utf-8")


def _classified(hidden: torch.Tensor, inputs: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> Any:
    """Return what a classifier that was fitted makes of the mean hidden state over the tokens that are there."""
    mask = inputs.get("attention_mask")
    there = torch.ones(hidden.shape[:2]) if mask is None else mask.to(hidden.dtype)
    pooled = (hidden * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True)
    return pooled @ tensors["weight"].T + tensors["bias"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
