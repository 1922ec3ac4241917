"""Whether a packed folder unfolds to the evaluated network: a fresh process without emoprune compares the bits."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from emoprune.errors import ContractError

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
        answer = _answer([sys.executable, "-P", str(path), str(folder), str(expected)])
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


def _answer(command: Sequence[str]) -> dict[str, Any]:
    try:
        ended = subprocess.run(  # noqa: S603  # our own script on a folder that we wrote
            command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ContractError(f"export: the fresh process did not answer within {TIME_LIMIT:.0f} s") from error
    if ended.returncode != 0:
        raise ContractError(f"export: a fresh process without emoprune cannot load it: {ended.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer
