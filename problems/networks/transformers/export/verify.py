"""Verifying an exported folder: a fresh process without emoprune loads it, compares its outputs and times it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.networks.evaluation.latency import REPEATS, WARM_UP, Timing
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.contract import Task

__all__ = ["Verified", "verify"]

# The same kernels on the same shapes; but layers of zero width and repeated keys take other paths than while searching.
TOLERANCE = 1e-4
BATCHES = (1, 8)
COMPARED = 4  # batches
OUTPUTS = 20_000_000  # numbers at most that are compared: a vocabulary is large
FEWEST_REPEATS = 5
SECONDS = 10.0
TIME_LIMIT = 900.0  # seconds; importing transformers and loading a large model from a slow disk, twice


@dataclass(frozen=True, slots=True)
class Verified:
    """The largest absolute difference of outputs, what is allowed, and both models' times by batch size."""

    difference: float
    tolerance: float
    examples: int
    timings: Mapping[int, tuple[Timing, Timing]]
    ran_on: Mapping[str, str]


def verify(
    folders: tuple[Path, Path], model: Any, task: Task, batches: Sequence[Batch], *, length: int, threads: int
) -> Verified:
    """Load both folders in one fresh process, compare the pruned one's outputs with `model`'s, and time them in turns.

    Args:
        folders: Of the pruned and the unpruned model.
        model: The narrowed model as it was evaluated, on the CPU.
        task: Says what its outputs are.
        batches: What it is tried on.
        length: Tokens in a timed example.
        threads: How many threads the process uses.

    Raises:
        ContractError: It does not load, or its outputs differ by more than the tolerance.
    """
    tensors, largest, examples, count = _expected(model, task, batches)
    for size in BATCHES:
        tensors |= {f"sized.{size}.{name}": own.clone() for name, own in task.sized(size, length).items()}
    names = ("pruned", "unpruned")
    request = {
        "folders": dict(zip(names, (str(folder.resolve()) for folder in folders), strict=True)),
        "threads": threads,
        "batches": count,
        "sizes": list(BATCHES),
        "repeats": REPEATS,
        "fewest": FEWEST_REPEATS,
        "seconds": SECONDS,
        "warm_up": WARM_UP,
    }
    answer = _fresh_process(request, tensors)
    allowed = TOLERANCE * max(1.0, largest)
    if not answer["difference"] <= allowed:
        raise ContractError(
            f"export: the reloaded model is not the evaluated one: outputs differ by {answer['difference']:.6g}, "
            f"expected at most {allowed:.6g}; do not use it, and report the model"
        )
    timings = {size: _timings(answer[f"batch {size}"], names, threads, size) for size in BATCHES}
    return Verified(answer["difference"], allowed, examples, timings, answer["ran_on"])


def _timings(taken: Mapping[str, list[float]], names: Sequence[str], threads: int, size: int) -> tuple[Timing, Timing]:
    pruned, unpruned = (Timing.of(taken[name], threads, size) for name in names)
    return pruned, unpruned


def _expected(model: Any, task: Task, batches: Sequence[Batch]) -> tuple[dict[str, torch.Tensor], float, int, int]:
    """Return some batches' inputs and outputs by name, the largest output, and how many examples and batches."""
    tensors: dict[str, torch.Tensor] = {}
    largest, numbers, examples, count = 0.0, 0, 0, 0
    for number, batch in enumerate(batches[:COMPARED]):
        with torch.no_grad():
            outputs = task.outputs(model, batch)
        if number and numbers + outputs.numel() > OUTPUTS:
            break
        tensors |= {f"{number}.input.{name}": own.clone() for name, own in batch.inputs.items()}
        tensors[f"{number}.output"] = outputs.contiguous().clone()
        largest, numbers = max(largest, float(outputs.abs().max())), numbers + outputs.numel()
        examples, count = examples + len(outputs), count + 1
    return tensors, largest, examples, count


def _fresh_process(request: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    verifying = files("emoprune.problems.networks.transformers.standalone") / "verify_model.py"
    timing = files("emoprune.problems.networks.standalone") / "timing.py"
    with as_file(verifying) as script, as_file(timing) as clock:
        asked = {**request, "timing": str(clock.resolve())}
        return run_script(script, asked, lambda path: save_file(tensors, path), TIME_LIMIT)
