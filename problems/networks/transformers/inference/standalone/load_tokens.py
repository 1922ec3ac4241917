"""Let a model of transformers keep to the policy in this folder; needs torch and transformers, nothing else.

from transformers import AutoModelForImageClassification
from load_tokens import patched
model = patched(AutoModelForImageClassification.from_pretrained(...))
"""

from __future__ import annotations

import json
import math
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def patched(model: Any, folder: Path | str = HERE) -> Any:
    """Return the model, which from now on drops tokens as the policy says."""
    folder = Path(folder)
    told = json.loads((folder / "policy.json").read_text(encoding="utf-8"))
    dropping, named = _module(folder, "dropping"), told["selector"]
    selector = getattr(_module(folder, named["module"]), named["class"])(**named["options"])
    members = {name: told[name] for name in ("layer", "share", "offset", "later", "later_share", "first", "special")}
    strength = math.inf if told["strength"] is None else told["strength"]
    policy = dropping.TokenPolicy(selector=selector, strength=strength, **members)
    return dropping.patched(model, policy, told["layers"], _module(folder, "token_selectors"))


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
