"""Verifying an exported folder: a fresh process without emoprune loads it and its outputs are compared."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import torch
from safetensors.torch import save_file

from emoprune.errors import ContractError

__all__ = ["Verified", "verify"]

# Relative to the largest output: 32-bit sums of some thousand terms, in another order or kernel, stay below it.
TOLERANCE = 1e-5
TIME_LIMIT = 300.0  # seconds; importing torch and loading a large program on a slow disk


@dataclass(frozen=True, slots=True)
class Verified:
    """How the reloaded network compares with the evaluated one, on `images` test images.

    Differences are absolute, of outputs; the errors are those of the reloaded network, by either way of loading it.
    """

    images: int
    tolerance: float
    program_difference: float
    program_error: float
    safetensors_difference: float
    safetensors_error: float

    @property
    def difference(self) -> float:
        """The larger of the two differences; NaN if either is."""
        both = (self.program_difference, self.safetensors_difference)
        return math.nan if any(map(math.isnan, both)) else max(both)

    @property
    def holds(self) -> bool:
        """Whether the reloaded network is the evaluated one."""
        return self.difference <= self.tolerance


def verify(folder: Path, images: torch.Tensor, labels: torch.Tensor, outputs: torch.Tensor) -> Verified:
    """Reload the exported network in a fresh process and compare it with `outputs`, shape (n, classes).

    Raises:
        ContractError: It does not load, or its outputs differ by more than the tolerance.
    """
    found = _fresh_process(folder, {"images": images, "labels": labels, "outputs": outputs})
    verified = Verified(
        images=len(labels),
        tolerance=TOLERANCE * max(1.0, outputs.abs().max().item()),
        program_difference=found["program"]["max_abs_difference"],
        program_error=found["program"]["error"],
        safetensors_difference=found["safetensors"]["max_abs_difference"],
        safetensors_error=found["safetensors"]["error"],
    )
    if not verified.holds:
        raise ContractError(
            f"export: the reloaded network is not the evaluated one: outputs differ by {verified.difference}, "
            f"expected at most {verified.tolerance} (model.pt2 {verified.program_difference}, "
            f"model.safetensors {verified.safetensors_difference}); nothing was exported"
        )
    return verified


def _fresh_process(folder: Path, inputs: Mapping[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    script = files("emoprune.problems.networks.standalone") / "verify.py"
    with tempfile.TemporaryDirectory() as scratch, as_file(script) as path:
        given = Path(scratch) / "inputs.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in inputs.items()}, given)
        # -P keeps the script's own folder off the path: only what is installed can be imported.
        command = [sys.executable, "-P", str(path), str(folder), str(given)]
        return _answer(command)


def _answer(command: list[str]) -> dict[str, dict[str, float]]:
    try:
        ended = subprocess.run(  # noqa: S603  # our own script on a folder that we wrote
            command, capture_output=True, text=True, timeout=TIME_LIMIT, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ContractError(f"export: the fresh process did not answer within {TIME_LIMIT:.0f} s") from error
    if ended.returncode != 0:
        raise ContractError(f"export: a fresh process without emoprune cannot load it: {ended.stderr.strip()[-2000:]}")
    answer: dict[str, dict[str, float]] = json.loads(ended.stdout.splitlines()[-1])
    return answer
