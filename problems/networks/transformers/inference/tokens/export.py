"""A policy of tokens as a folder: what it says, and the code that lets a model of transformers keep to it."""

from __future__ import annotations

import inspect
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from emoprune.contracts import Description
from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.language.loading import located_model
from emoprune.problems.networks.transformers.inference.standalone.dropping import TokenPolicy
from emoprune.problems.networks.transformers.standalone.pooling import PooledClassifier
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.storage.kept import write_json

__all__ = ["write_policy"]

PACKAGE = "emoprune.problems.networks.transformers.inference.standalone"
FORMAT_VERSION = 1
TOLERANCE = 1e-4  # of the largest output
SECONDS = 900.0  # importing transformers and loading a large model from a slow disk
README = """\
# A policy for the tokens of {model}

{told}

```python
from transformers import {factory}
from load_tokens import patched

model = patched({factory}.from_pretrained(...))  # the model that was searched
model(...)
```

`policy.json` says before which layers tokens go, and which; `dropping.py` is an attention function and hooks for
transformers' own interfaces. `model.dropping.used` holds the tokens that went into each layer of the last call, shape
(layers, rows). Needs torch and transformers.
"""


def write_policy(
    opened: Opened,
    policy: TokenPolicy,
    folder: Path,
    *,
    told: Mapping[str, Any],
    expected: tuple[torch.Tensor, torch.Tensor] | None,
) -> Description:
    """Write a policy into `folder`; return what was verified in a fresh process.

    Args:
        opened: The model and its data.
        policy: What is dropped.
        folder: Where to.
        told: What a person should know, in `policy.json` too.
        expected: Outputs and tokens by layer, shape (layers, rows), for the first test batch; None to verify nothing.

    Raises:
        ContractError: The model answers otherwise there, or computes other numbers of tokens.
    """
    module = inspect.getsourcefile(type(policy.selector))
    if module is None:
        raise ContractError(f"export: {type(policy.selector).__name__} stands in no file that could go along")
    model = opened.task.model
    fitted = isinstance(model, PooledClassifier)
    factory = "AutoModel" if fitted else str(opened.task.about["factory"])
    path = opened.anatomy.path.removeprefix("encoder.") if fitted else opened.anatomy.path
    members = {
        name: getattr(policy, name) for name in ("layer", "share", "offset", "later", "later_share", "first", "special")
    }
    plain = {
        "format_version": FORMAT_VERSION,
        "made_with": {"emoprune": version("emoprune")},
        **told,
        **members,
        "strength": None
        if math.isinf(policy.strength)
        else policy.strength,  # None for infinity, which JSON has none of
        "selector": {
            "module": Path(module).stem,
            "class": type(policy.selector).__name__,
            "options": asdict(policy.selector),
        },
        "layers": path,
    }
    with about_folder(folder):
        write_json(folder / "policy.json", plain)
        for name in ("load_tokens.py", "dropping.py", "token_selectors.py"):
            with as_file(files(PACKAGE) / name) as source:
                shutil.copyfile(source, folder / name)
        if not (folder / Path(module).name).exists():
            shutil.copyfile(module, folder / Path(module).name)
        listed = "\n".join(f"- {name}: {value}" for name, value in told.items())
        card = README.format(model=told["model"], told=listed, factory=factory)
        (folder / "README.md").write_text(card, encoding="utf-8")
    written: dict[str, str | int | float] = {"files": "policy.json, load_tokens.py, dropping.py, token_selectors.py"}
    if expected is None:
        return {**written, "verified": "no"}
    return {**written, **_verified(opened, factory, folder, expected)}


def _verified(
    opened: Opened, factory: str, folder: Path, expected: tuple[torch.Tensor, torch.Tensor]
) -> dict[str, str | int | float]:
    outputs, used = expected
    batch = opened.task.parts["test"][0]
    tensors = {f"input.{name}": own.contiguous().clone() for name, own in batch.inputs.items()}
    tensors |= {"outputs": outputs.cpu().contiguous().clone()}
    model = opened.task.model
    if isinstance(model, PooledClassifier):
        tensors |= {"weight": model.classifier.weight.detach().cpu().clone()}
        tensors |= {"bias": model.classifier.bias.detach().cpu().clone()}
    name = opened.loaded.source.name
    with located_model(name) as (_, where), as_file(files(PACKAGE) / "verify_tokens.py") as script:
        request = {
            "folder": str(folder.resolve()),
            "model": str(Path(where).resolve()) if Path(where).exists() else where,
            "factory": factory,
            "threads": torch.get_num_threads(),
        }
        answer = run_script(script, request, lambda path: save_file(tensors, path), SECONDS)
    allowed = TOLERANCE * max(1.0, float(outputs.abs().max()))
    if not answer["difference"] <= allowed:
        raise ContractError(
            f"export: the model answers otherwise than it was measured: outputs differ by {answer['difference']:.6g}, "
            f"expected at most {allowed:.6g}; do not use it, and report the model"
        )
    if answer["used"] != used.tolist():
        raise ContractError("export: the model computes other numbers of tokens than were counted; report the model")
    return {
        "largest difference of outputs": answer["difference"],
        "tokens by layer": " ".join(f"{own:.4g}" for own in used.double().mean(dim=1).tolist()),
    }
