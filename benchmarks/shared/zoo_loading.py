"""Loading a folder of the zoo in every way that is known, in a process in which emoprune is not imported."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

__all__ = ["found_of"]

TOLERANCE = 1e-4  # of the largest output


def found_of(folder: Path) -> dict[str, Any]:
    """Return in which ways a folder loads to the same outputs, their largest difference, whether its text is right."""
    expected = load_file(folder.parent / "expected.safetensors")
    loads: list[str] = []
    difference, same = 0.0, None
    for way, load in _ways(folder).items():
        model = load()
        if model is None:
            continue
        apart = _apart(model, expected)
        if apart <= TOLERANCE or way == "load.py":
            loads += [way] if apart <= TOLERANCE else []
            difference = max(difference, apart)
            same = _same_text(model, expected) if same is not False else same
    return {"loads": loads, "difference": difference, "same text": same}


def _ways(folder: Path) -> dict[str, Callable[[], Any]]:
    return {
        "load.py": lambda: runpy.run_path(str(folder / "load.py"))["load_model"](folder),
        "from_pretrained": lambda: _pretrained(folder, trusted=False),
        "trust_remote_code": lambda: _pretrained(folder, trusted=True),
    }


def _pretrained(folder: Path, *, trusted: bool) -> Any:
    """Return the model as transformers' own loader makes it; None if it cannot, or fills in anything."""
    import transformers

    plan = json.loads((folder / "pruning.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if trusted != ("auto_map" in config):
        return None
    factory = next((name for name in config["auto_map"] if name != "AutoConfig"), None) if trusted else plan["factory"]
    try:
        model, info = getattr(transformers, str(factory)).from_pretrained(
            folder, trust_remote_code=trusted, output_loading_info=True, dtype=torch.float32
        )
    except Exception:  # whatever transformers raises, this is not a way to load it
        return None
    return None if any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")) else model.eval()


def _apart(model: Any, expected: Mapping[str, torch.Tensor]) -> float:
    inputs = {name.removeprefix("input."): own for name, own in expected.items() if name.startswith("input.")}
    with torch.no_grad():
        outputs = model(**inputs)
    found, wanted = outputs if isinstance(outputs, torch.Tensor) else outputs[0], expected["output"]
    if found.shape != wanted.shape:
        return float("inf")
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1.0))


def _same_text(model: Any, expected: Mapping[str, torch.Tensor]) -> bool | None:
    if "text" not in expected:
        return None
    from shared.zoo_writing import written

    prompts = {name.removeprefix("prompt."): own for name, own in expected.items() if name.startswith("prompt.")}
    try:
        with torch.no_grad():
            return bool(torch.equal(written(model, prompts, cached=True), expected["text"]))
    except Exception:  # whatever a model raises that cannot write with a cache
        return False
