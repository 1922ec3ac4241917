"""A copy of the network trained for a while on the calibration images, its units shrunk or emptied in between."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from emoprune.problems.compute.device import one_thread
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.gradients import labels_of_batches
from emoprune.problems.networks.coupling.structure import FIXED, Structure

__all__ = ["scaled_units", "trained_copy"]

MOMENTUM, CLIP = 0.9, 1.0


def trained_copy(evidence: Evidence, steps: int, rate: float, after: Callable[[Evidence, int], None]) -> Evidence:
    """Return the evidence with a copy of the network, trained by gradient descent on the calibration images.

    Each step looks at all images, in eval mode, so that their order decides nothing.

    Args:
        evidence: What is copied.
        steps: How many.
        rate: The learning rate.
        after: Called after each step with the copy and the step's number; may change its weights in place.
    """
    network = copy.deepcopy(evidence.network).eval().requires_grad_(requires_grad=True)
    own = replace(evidence, network=network)
    optimiser = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM)
    images = len(evidence.calibration.labels)
    labels = labels_of_batches(evidence.calibration.batches, evidence.calibration.labels)
    with one_thread(), torch.enable_grad():
        for step in range(steps):
            optimiser.zero_grad()
            for batch, wanted in zip(evidence.calibration.batches, labels, strict=True):
                loss = nn.functional.cross_entropy(network(batch), wanted, reduction="sum") / images
                torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            after(own, step)
    return own


def scaled_units(network: nn.Module, structure: Structure, factors: Sequence[Scores]) -> None:
    """Multiply what puts each unit's channels out, weights and biases, by a factor, (units,) by group; in place."""
    every = np.concatenate([*factors, np.ones(1)])
    starts = np.concatenate([[0], np.cumsum(structure.units)]).astype(np.int64)
    for part in structure.weighted:
        if part.outgoing is None:
            continue
        fixed = part.outgoing.groups == FIXED
        places = np.where(fixed, len(every) - 1, starts[part.outgoing.groups] + part.outgoing.units)
        module = network.get_submodule(part.path)
        with torch.no_grad():
            for name, tensor in module.named_parameters(recurse=False):
                if name in {"weight", "bias"}:
                    own = torch.from_numpy(every[places]).to(tensor)
                    axis = 1 if name == "weight" and part.kind.startswith("ConvTranspose") else 0
                    tensor.mul_(own.view([-1 if each == axis else 1 for each in range(tensor.ndim)]))
