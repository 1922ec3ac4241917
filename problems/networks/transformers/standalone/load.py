"""Load this pruned model; needs torch, transformers and safetensors, nothing else.

from load import load_model
model = load_model()

`load_tokenizer()` returns its tokenizer, if it has one.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
import types
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def load_model(folder: Path | str = HERE, dtype: Any = "auto") -> Any:
    """Return the model that lies in `folder`, in eval mode on the CPU, its weights as they are stored or as `dtype`."""
    folder = Path(folder)
    plan = json.loads((folder / "pruning.json").read_text(encoding="utf-8"))
    made = _class_of(folder, plan)
    if not (folder / "packed.json").exists():
        return made.from_pretrained(folder, dtype=dtype).eval()
    model = made(made.config_class.from_pretrained(folder))
    found = model.load_state_dict(runpy.run_path(str(folder / "unpack.py"))["unpack"](folder), strict=False)
    if found.unexpected_keys or set(found.missing_keys) - set(plan["tied"]):
        raise RuntimeError(f"the weights do not fit the model: {found}; write the folder again")
    return model.eval()


def _class_of(folder: Path, plan: dict[str, Any]) -> Any:
    """Return transformers' own class, or the one in this folder that narrows it."""
    import transformers

    if plan["code"] is None:
        return getattr(transformers, plan["class"])
    package = f"pruned_model_{abs(hash(str(folder.resolve())))}"
    if package not in sys.modules:  # a package, so that its files find each other
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(folder)]
    return getattr(importlib.import_module(f"{package}.{plan['code']}"), plan["class"])


def load_tokenizer(folder: Path | str = HERE) -> Any:
    """Return the tokenizer that lies in `folder`."""
    from transformers import AutoConfig, AutoTokenizer

    plan = json.loads((Path(folder) / "pruning.json").read_text(encoding="utf-8"))
    # The unpruned model's config tells of which family it is, without running the folder's code.
    return AutoTokenizer.from_pretrained(folder, config=AutoConfig.for_model(plan["model_type"]))
