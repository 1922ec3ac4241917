"""Ways to score pruned networks: masked at full size, cut by Torch-Pruning after a deep copy, and emoprune's own."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.runner import PlainRunner, Runner
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray
from shared.network_bench import scores_of

__all__ = ["MASKED", "PRUNED", "SLICED", "Timed", "Way", "timed"]

MASKED = "masked, full size"
PRUNED = "deepcopy + Torch-Pruning"
SLICED = "emoprune, slicing only"

Made = Callable[[IntArray], Variant]


@dataclass(frozen=True, slots=True)
class Way:
    """How candidates are scored; `megabytes` limits what is reused between them, None reuses nothing."""

    name: str
    megabytes: int | None = None
    precision: str = "float32"


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Seconds for all candidates, by the clock and of the processor, their outputs, and how much memory was kept."""

    wall: float
    cpu: float
    outputs: list[torch.Tensor]
    kept_megabytes: float


def timed(way: Way, bench: Bench, pieces: list[IntArray]) -> Timed:
    """Score candidates piece by piece, as a worker gets them, each piece of shape (candidates, groups)."""
    make, runner = _parts(way, bench)
    outputs: list[torch.Tensor] = []
    runner.outputs([make(pieces[0][0])], Split.SEARCH)  # kernels are chosen at the first use
    runner = _parts(way, bench)[1]
    wall, cpu = time.perf_counter(), time.process_time()
    for piece in pieces:
        outputs += runner.outputs([make(widths) for widths in piece], Split.SEARCH)
    kept = runner.kept_bytes / 1e6 if isinstance(runner, ReusingRunner) else 0.0
    return Timed(time.perf_counter() - wall, time.process_time() - cpu, outputs, kept)


def _parts(way: Way, bench: Bench) -> tuple[Made, Runner]:
    slicer = Slicer(bench, scores_of(bench))
    plain = PlainRunner(bench, AdaptiveBatchNorm(), way.precision)
    if way.name == MASKED:
        return lambda widths: Variant(_masked(bench, slicer.kept(widths)), {}), plain
    if way.name == PRUNED:
        image = bench.calibration.batches[0][:1]
        return lambda widths: Variant(_pruned(bench, image, slicer.kept(widths)), {}), plain
    if way.megabytes is None:
        return slicer.variant, plain
    return slicer.variant, ReusingRunner(bench, AdaptiveBatchNorm(), way.megabytes * 2**20, way.precision)


def _masked(bench: Bench, kept: Kept) -> nn.Module:
    """Return the network at full size with zeros for the weights that read what is removed."""
    zeroed = {}
    for part in bench.structure.weighted:
        weight = bench.network.get_parameter(f"{part.path}.weight").detach()
        if part.incoming is not None:
            reads = torch.zeros(len(part.incoming), dtype=weight.dtype)
            reads[torch.from_numpy(part.incoming.staying(kept))] = 1
            own = reads.view(part.conv_groups, -1).repeat_interleave(len(weight) // part.conv_groups, dim=0)
            zeroed[f"{part.path}.weight"] = weight * own.view(len(weight), -1, *[1] * (weight.ndim - 2))
    return with_tensors(bench.network, zeroed)


def _pruned(bench: Bench, image: torch.Tensor, kept: Kept) -> nn.Module:
    """Return the network cut as Torch-Pruning's own documentation has it: a copy, its graph, one group per layer."""
    import torch_pruning

    network = copy.deepcopy(bench.network)
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        network.requires_grad_(requires_grad=True)  # the graph follows gradients
        graph = torch_pruning.DependencyGraph().build_dependency(network, image)
        for group, units in zip(bench.structure.groups, kept, strict=True):
            if len(units) < group.units:
                layer: Any = network.get_submodule(group.producers[0])
                cut = torch_pruning.prune_linear_out_channels
                if isinstance(layer, nn.Conv2d):
                    cut = torch_pruning.prune_conv_out_channels
                gone = sorted(set(range(group.units)) - set(units.tolist()))
                graph.get_pruning_group(layer, cut, gone).prune()
    return network.eval().requires_grad_(requires_grad=False)
