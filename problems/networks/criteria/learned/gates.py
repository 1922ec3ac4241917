"""Gates on the units of a frozen network, learnt on the calibration images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from emoprune.problems.compute.device import one_thread
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.gradients import gate_columns, labels_of_batches
from emoprune.problems.networks.calibration.hooks import Watcher, readers, watched
from emoprune.problems.networks.coupling.structure import Part

__all__ = ["by_group", "learnt"]


def learnt(
    evidence: Evidence,
    parameters: list[torch.Tensor],
    gates: Callable[[torch.Generator], torch.Tensor],
    penalty: Callable[[], torch.Tensor],
    *,
    steps: int,
    rate: float,
) -> None:
    """Move `parameters` by Adam to where the mean loss of the calibration images and a penalty are least, in place.

    Each step looks at all images, so that their order decides nothing.

    Args:
        evidence: The network, which stays as it is, and the images.
        parameters: What is learnt, leaves that take gradients, in 64 bits.
        gates: Draws a factor for each unit of all groups, shape (units of all groups,), from the parameters.
        penalty: What is added to the loss.
        steps: How many.
        rate: Of Adam.
    """
    generator = torch.Generator().manual_seed(evidence.seed)
    optimiser = torch.optim.Adam(parameters, lr=rate)
    with one_thread(), torch.enable_grad():
        for _ in range(steps):
            drawn = gates(generator)
            optimiser.zero_grad()
            drawn.backward(_gradient(evidence, drawn.detach()), retain_graph=True)  # type: ignore[no-untyped-call]  # torch leaves it untyped
            torch.autograd.backward(penalty())
            optimiser.step()


def by_group(evidence: Evidence, values: torch.Tensor) -> list[Scores]:
    """Return values of shape (units of all groups,) as an array for each coupling group."""
    ends = np.cumsum(evidence.structure.units)[:-1]
    return [own.copy() for own in np.split(values.detach().double().cpu().numpy(), ends)]


def _gradient(evidence: Evidence, values: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the mean loss by the gates at these values."""
    own, total = values.clone().requires_grad_(), torch.zeros_like(values)
    watchers = {
        part.path: _gating(part, gate_columns(evidence.structure, part), own) for part in readers(evidence.structure)
    }
    images = len(evidence.calibration.labels)
    labels = labels_of_batches(evidence.calibration.batches, evidence.calibration.labels)
    with watched(evidence.network, watchers):
        for batch, wanted in zip(evidence.calibration.batches, labels, strict=True):
            loss = nn.functional.cross_entropy(evidence.network(batch), wanted, reduction="sum") / images
            total += torch.autograd.grad(loss, own, materialize_grads=True, allow_unused=True)[0]
    return total


def _gating(part: Part, columns: torch.Tensor, gates: torch.Tensor) -> Watcher:
    def watcher(values: torch.Tensor) -> torch.Tensor:
        # Channels without a gate are marked by -1, which picks the factor 1 at the end.
        factors = torch.cat([gates, gates.new_ones(1)])[columns].to(values)
        shape = [1] * values.ndim
        shape[-1 if part.kind == "Linear" else 1] = len(factors)
        return values * factors.view(shape)

    return watcher
