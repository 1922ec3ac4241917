"""What an objective is checked for by itself, beside the promises of a problem that measures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from emoprune.contracts import Measure
from emoprune.errors import ContractError
from emoprune.problems.compute.device import seeded
from emoprune.problems.compute.left_alone import left_alone
from emoprune.problems.networks.evaluation.latency import Timing
from emoprune.problems.networks.evaluation.objectives.contract import Built, Scored, Seen
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["COUNTS", "TIMING", "check_measure", "check_objective"]

COUNTS: Mapping[str, float] = {"macs": 3000.0, "parameters": 400.0, "bytes": 1600.0, "kv-bytes": 64.0}
TIMING = Timing(2.0, 1.0, 3.0, repeats=3, threads=1, batch=1)  # of no clock, so that it is the same each time
IMAGES, CLASSES = 12, 4


def check_objective(make: Callable[[], Measure[Seen]]) -> None:
    """Check that an objective of a network with channels is the same number each time, and changes nothing.

    Args:
        make: Returns a new one.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    with seeded(3), torch.no_grad():
        first = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())
        last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES))
        network = nn.Sequential(first, last).eval().requires_grad_(requires_grad=False)
        outputs = network(torch.rand(IMAGES, 1, 8, 8))
    scored = Scored(outputs, torch.arange(IMAGES) % CLASSES, outputs.flip(0))
    members = LoadedImages((torch.rand(IMAGES, 1, 8, 8, generator=torch.Generator().manual_seed(1)),), scored.labels)
    seen = Seen(COUNTS, scored, Built(network, lambda: network, lambda: TIMING, lambda: members))
    check_measure(make, seen, {"outputs": outputs, "labels": seen.labels, "unpruned_outputs": seen.unpruned_outputs})


def check_measure(make: Callable[[], Measure[Seen]], seen: Seen, tensors: Mapping[str, torch.Tensor]) -> None:
    """Check an objective on what it sees; `tensors` are those that it may not change either."""
    with left_alone("objective", seen.pruned, tensors):
        values = [repr(float(make()(seen))) for _ in range(2)]
    if values[0] != values[1]:
        raise ContractError(f"objective: expected {values[0]} again of the same network, found {values[1]}")
