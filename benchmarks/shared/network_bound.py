"""What sharing cannot go below: the weighted layers alone, each of them once for all candidates that have it alike."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.records import Split
from emoprune.space import IntArray
from shared.network_bench import scores_of

__all__ = ["seconds_alone", "shared_share"]


def _first_of_their_kind(bench: Bench, widths: IntArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Say which weighted layers of which candidates have inputs and outputs as none before, shape (n, layers).

    Layers come in the order of the forward; one is alike where all widths up to it are.
    """
    known: set[int] = set()
    columns = []
    for part in bench.structure.weighted:
        for wiring in (part.incoming, part.outgoing):
            known |= set() if wiring is None else {int(group) for group in wiring.groups if group >= 0}
        _, first = np.unique(widths[:, sorted(known)], axis=0, return_index=True)
        columns.append(np.isin(np.arange(len(widths)), first))
    return np.stack(columns, axis=1)


def shared_share(bench: Bench, widths: IntArray) -> float:
    """Return the share of the unpruned network's multiply-accumulates that is left if nothing alike runs twice."""
    cost = CostModel.of(bench.network, bench.structure)
    full = cost.macs(np.array([bench.structure.units], dtype=np.int64))[0]
    return float((cost.macs_by_part(widths) * _first_of_their_kind(bench, widths)).sum() / len(widths) / full)


def seconds_alone(bench: Bench, widths: IntArray) -> float:
    """Return the processor's seconds for all images in the weighted layers that run if nothing alike runs twice."""
    slicer, first = Slicer(bench, scores_of(bench)), _first_of_their_kind(bench, widths)
    paths = [part.path for part in bench.structure.weighted]
    batches = [*bench.calibration.batches, *bench.images[Split.SEARCH].batches]
    total = 0.0
    for own, counted in zip(widths, first, strict=True):
        network = slicer.variant(own).network
        with _timing(network, paths) as seconds, torch.inference_mode():
            for batch in batches:
                network(batch)
        total += float(np.array(seconds)[counted].sum())
    return total


@contextmanager
def _timing(network: nn.Module, paths: Sequence[str]) -> Iterator[list[float]]:
    """Yield the processor's seconds inside each module of these paths so far."""
    seconds = [0.0] * len(paths)

    def before(place: int) -> None:
        seconds[place] -= time.process_time()

    def after(place: int) -> None:
        seconds[place] += time.process_time()

    with ExitStack() as stack:
        for place, path in enumerate(paths):
            module = network.get_submodule(path)
            stack.callback(module.register_forward_pre_hook(lambda *_, place=place: before(place)).remove)
            stack.callback(module.register_forward_hook(lambda *_, place=place: after(place)).remove)
        yield seconds
