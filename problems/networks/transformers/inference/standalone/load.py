"""Let a model of transformers keep to the policy in this folder; needs torch and transformers, nothing else.

from transformers import AutoModelForCausalLM
from load import patched
model = patched(AutoModelForCausalLM.from_pretrained(...))
model.generate(...)
"""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def patched(model: Any, folder: Path | str = HERE) -> Any:
    """Return the model, which from now on generates with a cache that keeps to the policy."""
    return _module(Path(folder), "evicting").patched(model, load_policy(folder))


def load_policy(folder: Path | str = HERE) -> Any:
    """Return the policy that lies in `folder`."""
    folder = Path(folder)
    told = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    named = told["importance"]
    importance = getattr(_module(folder, named["module"]), named["class"])(**named["options"])
    thin = told["thin"]
    if thin is not None:
        made = getattr(_module(folder, thin["module"]), thin["class"])
        thin = [None if each is None else made(**each) for each in thin["layers"]]
    members = {name: told[name] for name in ("shares", "sinks", "window", "representatives")}
    return _module(folder, "evicting").Policy(importance=importance, thin=thin, **members)


def new_cache(model: Any, folder: Path | str = HERE) -> Any:
    """Return a cache for one call of the model after another, as `generate` makes one for itself."""
    return _module(Path(folder), "evicting").EvictingCache(load_policy(folder), model.config)


def _module(folder: Path, name: str) -> Any:
    """Return a file of the folder as a module, read once."""
    full = f"policy_{abs(hash(str(folder.resolve())))}_{name}"
    if full not in sys.modules:
        spec = spec_from_file_location(full, folder / f"{name}.py")
        if spec is None or spec.loader is None:
            raise ImportError(f"{folder} has no {name}.py; write the folder again")
        sys.modules[full] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]
