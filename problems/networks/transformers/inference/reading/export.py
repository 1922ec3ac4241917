"""A policy of a cache as a folder: what it says, and the code that lets a model of transformers keep to it."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from emoprune.contracts import Description, FloatArray
from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.language.loading import located_model
from emoprune.problems.networks.transformers.inference.data.texts import Continued
from emoprune.problems.networks.transformers.inference.options import Number
from emoprune.problems.networks.transformers.inference.standalone.evicting import Policy
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.storage.kept import write_json

__all__ = ["Counted", "write_policy"]

PACKAGE = "emoprune.problems.networks.transformers.inference.standalone"
FORMAT_VERSION = 1
WRITTEN = 8  # tokens that are written on from a text
TOLERANCE: Mapping[Number, float] = {"float32": 1e-4, "float16": 2e-2}  # of the largest logit; records are as exact
COUNTED = 1e-4  # of the keys: where shares decide who stays, the last bits of one may decide otherwise
SECONDS = 900.0  # importing transformers and loading a large model from a slow disk
README = """\
# A policy for the cache of {model}

{told}

```python
from transformers import AutoModelForCausalLM
from load import patched

model = patched(AutoModelForCausalLM.from_pretrained(...))  # the model that was searched
model.generate(...)
```

`policy.json` says what each layer keeps; `evicting.py` is a cache and an attention function for transformers' own
interfaces, which hold it. `load.new_cache(model)` is a cache for calls of the model itself. Needs torch and
transformers.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """What came of one batch of texts.

    Attributes:
        losses: Nats of each token that follows, shape (rows, tokens).
        right: Whether it is what the model would write, shape (rows, tokens).
        used: Keys that each layer attended to, on average over tokens and heads, shape (rows, layers).
        scored: Keys that each layer scored, on average over tokens and heads, shape (rows, layers).
        read: Bytes that all heads of all layers read, on average over tokens, shape (rows,).
    """

    losses: FloatArray
    right: NDArray[np.bool_]
    used: FloatArray
    scored: FloatArray
    read: FloatArray


def write_policy(
    model: str,
    policy: Policy,
    folder: Path,
    *,
    told: Mapping[str, Any],
    expected: tuple[Continued, torch.Tensor, Counted] | None,
    numbers: Number,
) -> Description:
    """Write a policy into `folder`; return what was verified in a fresh process.

    Args:
        model: The name of the model that it was searched for.
        policy: What stays.
        folder: Where to.
        told: What a person should know, in `policy.json` too.
        expected: A batch of texts, the logits of what follows, and what was counted; None where nothing is verified.
        numbers: Those of the records that the logits come from.

    Raises:
        ContractError: The model answers otherwise there, or holds other numbers of keys.
    """
    own = policy.importance
    module = inspect.getsourcefile(type(own))
    if module is None:
        raise ContractError(f"export: {type(own).__name__} stands in no file that could go along; put it into one")
    named = {"module": Path(module).stem, "class": type(own).__name__, "options": asdict(own)}
    members = {name: getattr(policy, name) for name in ("shares", "sinks", "window", "representatives")}
    thin, alongside = _thin(policy)
    with about_folder(folder):
        plain = {"format_version": FORMAT_VERSION, "made_with": {"emoprune": version("emoprune")}, **told}
        write_json(folder / "policy.json", {**plain, **members, "importance": named, "thin": thin})
        for name in ("load.py", "evicting.py"):
            with as_file(files(PACKAGE) / name) as source:
                shutil.copyfile(source, folder / name)
        shutil.copyfile(module, folder / Path(module).name)
        if alongside is not None:
            shutil.copyfile(alongside, folder / Path(alongside).name)
        listed = "\n".join(f"- {name}: {value}" for name, value in told.items())
        (folder / "README.md").write_text(README.format(model=model, told=listed), encoding="utf-8")
    if expected is None:
        return {"files": "policy.json, load.py, evicting.py", "verified": "no"}
    return _verified(model, folder, expected, TOLERANCE[numbers])


def _thin(policy: Policy) -> tuple[dict[str, Any] | None, str | None]:
    """Return what says which of its keys a layer attends to, as plain data, and the file that it stands in."""
    own = next((each for each in policy.thin or () if each is not None), None)
    if own is None:
        return None, None
    module = inspect.getsourcefile(type(own))
    if module is None:
        raise ContractError(f"export: {type(own).__name__} stands in no file that could go along; put it into one")
    layers = [None if each is None else asdict(each) for each in policy.thin or ()]
    return {"module": Path(module).stem, "class": type(own).__name__, "layers": layers}, module


def _verified(
    model: str, folder: Path, expected: tuple[Continued, torch.Tensor, Counted], tolerance: float
) -> Description:
    batch, logits, counted = expected
    tensors = {
        "read": batch.read.contiguous().clone(),
        "following": batch.following[:, :-1].contiguous().clone(),
        "logits": logits.cpu().contiguous().clone(),
    }
    with located_model(model) as (_, where), as_file(files(PACKAGE) / "verify_cache.py") as script:
        request = {
            "folder": str(folder.resolve()),
            "model": str(Path(where).resolve()) if Path(where).exists() else where,
            "threads": torch.get_num_threads(),
            "tokens": WRITTEN,
        }
        answer = run_script(script, request, lambda path: save_file(tensors, path), SECONDS)
    allowed = tolerance * max(1.0, float(logits.abs().max()))
    for way in ("at once", "token by token"):
        if not answer[way] <= allowed:
            raise ContractError(
                f"export: read {way}, the model answers otherwise than it was measured: logits differ by "
                f"{answer[way]:.6g}, expected at most {allowed:.6g}; do not use it, and report the model"
            )
    if not np.allclose(answer["used"], counted.used, rtol=COUNTED, atol=0):
        raise ContractError(f"export: expected {counted.used.tolist()} keys by layer, found {answer['used']}")
    return {
        "files": "policy.json, load.py, evicting.py",
        "largest difference of logits": max(answer["at once"], answer["token by token"]),
        "keys by layer": " ".join(f"{each:.4g}" for each in np.mean(answer["used"], axis=0)),
        "tokens written on": sum(map(len, answer["written"])),
    }
