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
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["TOLERANCES", "Verified", "verify"]

TOLERANCES: Mapping[str, float] = {  # relative to the largest output
    "safetensors": 1e-5,  # the same kernels on the same batches; another layout in memory may sum in another order
    "torch-export": 1e-5,  # torch's own kernels, called one by one
    "onnx": 1e-4,  # another library's kernels, with batch norms folded into the convolutions before them
}
BATCHES = (1, 64)
FEWEST_REPEATS = 5
SECONDS = 20.0  # for all networks and formats together at one batch size, after which repeats are saved
TIME_LIMIT = 600.0  # seconds; importing torch and loading large programs on a slow disk, and timing them


@dataclass(frozen=True, slots=True)
class Verified:
    """How one format of the pruned network compares with the evaluated one, and both networks' times by batch size.

    `difference` is the largest absolute one of outputs; `errors` and `timings` come for the pruned and
    the unpruned network, both reloaded; `layout` is how the images lay in memory.
    """

    name: str
    images: int
    layout: str
    difference: float
    tolerance: float
    errors: tuple[float, float]
    timings: Mapping[int, tuple[Timing, ...]]
    ran_on: Mapping[str, str]

    @property
    def holds(self) -> bool:
        """Whether the reloaded network is the evaluated one; a difference that is not a number is one."""
        return self.difference <= self.tolerance


def verify(
    folders: tuple[Path, Path],
    outputs: tuple[torch.Tensor, torch.Tensor],
    test: LoadedImages,
    formats: Sequence[str],
    *,
    import_from: Sequence[Path] = (),
    threads: int = 1,
    batches: Sequence[int] = BATCHES,
) -> tuple[Verified, ...]:
    """Reload both networks in each format in one fresh process, compare their outputs and time them in turns.

    Args:
        folders: What the pruned and the unpruned network were written to.
        outputs: Their outputs for the test images, each of shape (n, classes).
        test: Images and labels.
        formats: What was written into both folders.
        import_from: Where the fresh process may import the network's own code from.
        threads: How many threads it uses.
        batches: The batch sizes to time.

    Raises:
        ContractError: It does not load, or its outputs differ by more than the tolerance.
    """
    request = {
        "formats": list(formats),
        "import_from": [str(folder) for folder in import_from],
        "threads": threads,
        "batches": list(batches),
        "repeats": REPEATS,
        "fewest_repeats": FEWEST_REPEATS,
        "seconds": SECONDS,
        "warm_up": WARM_UP,
    }
    answer = _fresh_process(folders, outputs, test, request)
    scale = max(1.0, outputs[0].abs().max().item())
    found = tuple(_verified(name, len(test.labels), scale, answer, request) for name in formats)
    for each in found:
        if not each.holds:
            raise ContractError(
                f"export: the network reloaded from {each.name} is not the evaluated one: outputs differ by "
                f"{each.difference:.6g}, expected at most {each.tolerance:.6g}; do not use it, and report the network"
            )
    return found


def _verified(name: str, images: int, scale: float, answer: Mapping[str, Any], request: Mapping[str, Any]) -> Verified:
    rows = {row["network"]: row for row in answer["rows"] if row["format"] == name}
    pruned, unpruned = rows["pruned"], rows["unpruned"]
    timings = {
        size: tuple(Timing.of(row[f"batch {size}"], request["threads"], size) for row in (pruned, unpruned))
        for size in request["batches"]
    }
    return Verified(
        name,
        images,
        layout=pruned["layout"],
        difference=pruned["difference"],
        tolerance=TOLERANCES[name] * scale,
        errors=(pruned["error"], unpruned["error"]),
        timings=timings,
        ran_on=answer["ran_on"],
    )


def _fresh_process(
    folders: tuple[Path, Path],
    outputs: tuple[torch.Tensor, torch.Tensor],
    test: LoadedImages,
    request: Mapping[str, Any],
) -> dict[str, Any]:
    images = torch.cat(test.batches).cpu().contiguous()
    tensors = {
        "images": images,
        "labels": test.labels.cpu().contiguous(),
        "batch": torch.tensor(len(test.batches[0])),
        "pruned": outputs[0].cpu().clone(),
        "unpruned": outputs[1].cpu().clone(),
    }
    places = dict(zip(("pruned", "unpruned"), (str(folder.resolve()) for folder in folders), strict=True))
    with as_file(files("emoprune.problems.networks.standalone")) as scripts:
        asked = {**request, "folders": places}
        return run_script(scripts / "verify.py", asked, lambda path: save_file(tensors, path), TIME_LIMIT)
