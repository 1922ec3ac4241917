"""Load this pruned model; needs torch, transformers and safetensors, nothing else.

from load import load_model
model = load_model()

`load_tokenizer()` returns its tokenizer, if it has one.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def load_model(folder: Path | str = HERE) -> Any:
    """Return the model that lies in `folder`, in eval mode on the CPU."""
    import transformers
    from safetensors.torch import load_file

    folder = Path(folder)
    plan = json.loads((folder / "pruning.json").read_text(encoding="utf-8"))
    config = transformers.AutoConfig.from_pretrained(folder)
    model = getattr(transformers, plan["factory"]).from_config(config)
    if plan["classes"] is not None:
        model = runpy.run_path(str(folder / "pooling.py"))["PooledClassifier"](model, plan["classes"])
    runpy.run_path(str(folder / "opening.py"))["open_layers"](model, plan.get("opened", {}))
    runpy.run_path(str(folder / "narrowing.py"))["narrow"](model, plan)
    if (folder / "packed.json").exists():
        state = runpy.run_path(str(folder / "unpack.py"))["unpack"](folder)
    else:
        state = load_file(folder / "model.safetensors")
    found = model.load_state_dict(state, strict=False)
    if found.unexpected_keys or set(found.missing_keys) - set(plan["tied"]):
        raise RuntimeError(f"the weights do not fit the model: {found}; write the folder again")
    return model.eval()


def load_tokenizer(folder: Path | str = HERE) -> Any:
    """Return the tokenizer that lies in `folder`."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
