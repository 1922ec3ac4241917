"""Whether bfloat16 may be computed in: decided once, before a search, and only where it changes no prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.kept import sealed_json
from emoprune.records import Split

__all__ = ["PrecisionChoice", "choose_precision", "precision_made_once"]

# Names under which torch reports native bfloat16 arithmetic, on x86 and on ARM.
_NATIVE = ("avx512_bf16", "amx_bf16", "arm_bf16", "sve_bf16", "bf16")


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """What `auto` came to: the precision, why, and what was found.

    `differing` of `predictions` classes were predicted differently in bfloat16; `speedup` is how many times faster it
    was, by the processor's time. Both are 0 where nothing was tried.
    """

    precision: Literal["float32", "bfloat16"]
    reason: str
    predictions: int = 0
    differing: int = 0
    speedup: float = 0.0


def precision_made_once(path: Path, wanted: str, choose: Callable[[], PrecisionChoice]) -> str:
    """Return the precision that a config wants; what `auto` came to is kept at `path`."""
    if wanted != "auto":
        return wanted

    def chosen() -> dict[str, str]:
        choice = choose()
        return {"precision": choice.precision, "why": choice.reason}

    return str(sealed_json(path, chosen)["precision"])


def choose_precision(bench: Bench, variants: Sequence[Variant], estimate: NormEstimate | None) -> PrecisionChoice:
    """Return the faster precision that predicts what float32 does on all calibration images, for all variants.

    The time that is measured may differ from run to run: ask once, and keep the answer.

    Args:
        bench: The network and its calibration images.
        variants: The unpruned network and several pruned ones, as different as candidates will be.
        estimate: How batch-norm statistics are estimated anew.

    Raises:
        ContractError: There is no variant to try.
    """
    if not variants:
        raise ContractError("precision: expected the unpruned network and some pruned ones to try, found none")
    if torch.device(bench.device).type == "cpu" and not _native():
        return PrecisionChoice("float32", "this processor has no bfloat16 arithmetic")
    tried = replace(bench, images=dict.fromkeys(Split, bench.calibration))
    predicted, seconds = {}, {}
    for precision in ("float32", "bfloat16"):
        runner = PlainRunner(tried, estimate, precision)
        runner.outputs(variants[:1], Split.SEARCH)  # the first run of a precision chooses its kernels
        begun = time.process_time()
        outputs = runner.outputs(variants, Split.SEARCH)
        seconds[precision] = time.process_time() - begun
        predicted[precision] = torch.stack([each.argmax(dim=1) for each in outputs])
    differing = int((predicted["float32"] != predicted["bfloat16"]).sum())
    speedup = seconds["float32"] / max(seconds["bfloat16"], 1e-9)
    return _judged(predicted["float32"].numel(), differing, speedup)


def _judged(predictions: int, differing: int, speedup: float) -> PrecisionChoice:
    if differing:
        reason = f"bfloat16 changes {differing} of {predictions:,} predictions"
        return PrecisionChoice("float32", reason, predictions, differing, speedup)
    if speedup <= 1:
        reason = f"bfloat16 is not faster here: {speedup:.2f} times as fast as float32"
        return PrecisionChoice("float32", reason, predictions, differing, speedup)
    reason = f"bfloat16 changes none of {predictions:,} predictions and is {speedup:.2f} times as fast"
    return PrecisionChoice("bfloat16", reason, predictions, differing, speedup)


def _native() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _NATIVE)
