"""Whether a packed folder unfolds to the evaluated network: a fresh process without emoprune compares the bits."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_fresh

__all__ = ["verify_packed"]

TIME_LIMIT = 300.0  # seconds; importing torch on a slow disk
# Relative to the largest output: the same tensors in another order of memory or another kernel, as sums of floats.
TOLERANCE = 1e-5


def verify_packed(folder: Path, network: nn.Module, images: torch.Tensor) -> dict[str, int | float]:
    """Unfold and run the folder's network in a fresh process; return how many tensors are the same to the bit.

    Where there is a model.py, also the largest absolute difference of its outputs on `images`, shape (n, channels,
    height, width).

    Raises:
        ContractError: It does not unfold, a tensor is another one, or outputs differ.
    """
    with torch.no_grad():
        outputs = network(images).cpu()
    state = network.state_dict()
    given = {f"state::{name}": tensor for name, tensor in state.items()} | {"images": images, "outputs": outputs}
    script = files("emoprune.problems.networks.standalone") / "verify_packed.py"
    with tempfile.TemporaryDirectory() as scratch, as_file(script) as path:
        expected = Path(scratch) / "expected.safetensors"
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in given.items()}, expected)
        # -P keeps the script's own folder off the path: only what is installed can be imported.
        said = run_fresh([sys.executable, "-P", str(path), str(folder), str(expected)], None, TIME_LIMIT)
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    if answer["different"]:
        named = ", ".join(answer["different"][:3])
        raise ContractError(
            f"export: the unfolded network is not the evaluated one: {named} differ; nothing was written"
        )
    verified: dict[str, int | float] = {"packed tensors the same to the bit": answer["tensors"]}
    if "difference" in answer:
        allowed = TOLERANCE * max(1.0, outputs.abs().max().item())
        if not answer["difference"] <= allowed:
            raise ContractError(
                f"export: the packed network's outputs are off by {answer['difference']}, expected at most {allowed}; "
                "it is not kept"
            )
        verified["packed max abs difference"] = answer["difference"]
    return verified
