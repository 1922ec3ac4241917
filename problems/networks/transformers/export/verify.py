"""Verifying an exported folder: a fresh process without emoprune loads it, compares what it does and times it."""

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
from emoprune.problems.networks.transformers.export.folders import Layout
from emoprune.problems.networks.transformers.export.writing_on import WritingOn
from emoprune.problems.networks.transformers.standalone.conventions import conventions
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["TOLERANCE", "Verified", "verify"]

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
    """The largest absolute difference of outputs, what is allowed, and both models' times by batch size.

    `written` says how text was written on from prompts, `loaded` in which ways the folder was loaded.
    """

    difference: float
    tolerance: float
    examples: int
    timings: Mapping[int, tuple[Timing, Timing]]
    ran_on: Mapping[str, str]
    written: str
    loaded: Sequence[str]


def verify(
    folders: tuple[Path, Path], layout: Layout, model: Any, opened: Opened, *, length: int, threads: int
) -> Verified:
    """Load both folders in one fresh process, compare the pruned one with `model`, and time them in turns.

    Args:
        folders: Of the pruned and the unpruned model.
        layout: How the pruned one is loaded.
        model: The narrowed model as it was evaluated, on the CPU.
        opened: The task, which says what outputs are, its data, and the unpruned model.
        length: Tokens in a timed example.
        threads: How many threads the process uses.

    Raises:
        ContractError: It does not load, its outputs differ by more than the tolerance, it writes other text with a
            cache than without, or it has other conventions than the checkpoint.
    """
    tensors, largest, examples, count = _expected(model, opened, opened.task.parts["test"])
    writing = WritingOn.of(model, opened.task)
    tensors |= {} if writing is None else writing.tensors
    for size in BATCHES:
        tensors |= {f"sized.{size}.{name}": own.clone() for name, own in opened.task.sized(size, length).items()}
    names = ("pruned", "unpruned")
    request = {
        "folders": dict(zip(names, (str(folder.resolve()) for folder in folders), strict=True)),
        "factory": None if layout.packed else layout.factory,
        "coded": layout.coded,
        "written": 0 if writing is None else writing.tokens,
        "tokenizer": opened.loaded.tokenizer is not None,
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
    for way, difference in answer["differences"].items():
        if not difference <= allowed:
            raise ContractError(
                f"export: loaded by {way}, the reloaded model is not the evaluated one: outputs differ by "
                f"{difference:.6g}, expected at most {allowed:.6g}; do not use it, and report the model"
            )
    written = "not a model that writes" if writing is None else writing.judged(answer["written"], opened)
    _check_conventions(answer["conventions"], opened)
    timings = {size: _timings(answer[f"batch {size}"], names, threads, size) for size in BATCHES}
    difference, loaded = max(answer["differences"].values()), list(answer["differences"])
    return Verified(difference, allowed, examples, timings, answer["ran_on"], written, loaded)


def _check_conventions(found: Mapping[str, Any], opened: Opened) -> None:
    """Refuse a folder that says something else than the checkpoint's about generating, tokens or tied embeddings."""
    for name, expected in conventions(opened.loaded.model, opened.loaded.tokenizer).items():
        if found[name] != expected:
            raise ContractError(
                f"export: {name}: expected {str(expected)[:300]} as in the checkpoint, found {str(found[name])[:300]} "
                "in the exported folder; report the model"
            )


def _timings(taken: Mapping[str, list[float]], names: Sequence[str], threads: int, size: int) -> tuple[Timing, Timing]:
    pruned, unpruned = (Timing.of(taken[name], threads, size) for name in names)
    return pruned, unpruned


def _expected(model: Any, opened: Opened, batches: Sequence[Batch]) -> tuple[dict[str, torch.Tensor], float, int, int]:
    """Return some batches' inputs and outputs by name, the largest output, and how many examples and batches."""
    tensors: dict[str, torch.Tensor] = {}
    largest, numbers, examples, count = 0.0, 0, 0, 0
    for number, batch in enumerate(batches[:COMPARED]):
        with torch.no_grad():
            outputs = opened.task.outputs(model, batch)
        if number and numbers + outputs.numel() > OUTPUTS:
            break
        tensors |= {f"{number}.input.{name}": own.clone() for name, own in batch.inputs.items()}
        tensors[f"{number}.output"] = outputs.contiguous().clone()
        largest, numbers = max(largest, float(outputs.abs().max())), numbers + outputs.numel()
        examples, count = examples + len(outputs), count + 1
    return tensors, largest, examples, count


def _fresh_process(request: Mapping[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    own = files("emoprune.problems.networks.transformers.standalone")
    timing = files("emoprune.problems.networks.standalone") / "timing.py"
    with (
        as_file(own / "verify_model.py") as script,
        as_file(own / "generating.py") as generating,
        as_file(own / "conventions.py") as said,
        as_file(timing) as clock,
    ):
        places = {"timing": clock, "generating": generating, "conventions": said}
        asked = {**request, **{name: str(place.resolve()) for name, place in places.items()}}
        return run_script(script, asked, lambda path: save_file(tensors, path), TIME_LIMIT)
