"""Load an exported policy in a process without emoprune, and say what the model answers. Called by the exporter."""

from __future__ import annotations

import inspect
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def main(asked: Path, answer: Path) -> None:
    """Write the largest differences of logits, the keys that were held, and what was written on."""
    if "emoprune" in sys.modules:
        raise RuntimeError("emoprune was imported; the folder must load without it")
    request = json.loads(asked.read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    tensors = load_file(request["inputs"])
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(request["model"], dtype=torch.float32).eval()
    load = runpy.run_path(str(Path(request["folder"]) / "load.py"))
    model = load["patched"](model, request["folder"])
    with torch.inference_mode():
        whole, cache = _followed(model, load["new_cache"](model, request["folder"]), tensors, at_once=True)
        single, _ = _followed(model, load["new_cache"](model, request["folder"]), tensors, at_once=False)
        read = tensors["read"]
        written = model.generate(
            read, attention_mask=torch.ones_like(read), max_new_tokens=request["tokens"], do_sample=False
        )
    expected = tensors["logits"]
    found = {
        "at once": float((whole - expected).abs().max()),
        "token by token": float((single - expected).abs().max()),
        "used": cache.used().tolist(),
        "written": written[:, read.shape[1] :].tolist(),
    }
    answer.write_text(json.dumps(found), encoding="utf-8")


def _followed(model: Any, cache: Any, tensors: dict[str, torch.Tensor], *, at_once: bool) -> tuple[torch.Tensor, Any]:
    """Return logits of what follows, read at once or token by token, and the cache at the end."""
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    model(input_ids=tensors["read"], use_cache=True, **{name: cache})
    following = tensors["following"]
    pieces = [following] if at_once else torch.split(following, 1, dim=1)
    return torch.cat([model(input_ids=each, use_cache=True, **{name: cache}).logits for each in pieces], dim=1), cache


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
