"""Whether bfloat16 may be computed in: decided once, before a search, and only where it changes no prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from emoprune.errors import ContractError
from emoprune.problems.compute.precision import PrecisionChoice, chosen_precision
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.kept import sealed_json
from emoprune.records import Split

__all__ = ["choose_precision", "kept_precision"]

# Names under which torch reports native bfloat16 arithmetic, on x86 and on ARM.
_NATIVE = ("avx512_bf16", "amx_bf16", "arm_bf16", "sve_bf16", "bf16")


def kept_precision(path: Path, wanted: str, choose: Callable[[], PrecisionChoice]) -> str:
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
    return chosen_precision(predicted["float32"].numel(), differing, speedup)


def _native() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in _NATIVE)
