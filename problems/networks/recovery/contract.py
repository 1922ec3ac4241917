"""What a recovery is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.recovery.plan import Plan

__all__ = ["NetworkCase"]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCase:
    """A pruned network to win back: what a recovery is called with, and returns a network for, in eval mode.

    Attributes:
        network: The pruned network in eval mode, with the statistics it is scored with. It stays as it was, and shares
            tensors with others: train a copy, as `recovery.copying.trainable` makes one.
        bench: Holds the unpruned network, the calibration images, and the images of `search`, `select` and `test` on
            its device. What is chosen while training is chosen by `select`; `test` is for the result alone.
        training: The training part of the data, images of shape (n, channels, height, width) and labels.
        plan: How long and how fast, as the problem's options say it.
        seed: All randomness comes from it.
        frozen_zeros: By a parameter's name a mask of its shape, true where a weight is zero and has to stay so.
    """

    network: nn.Module
    bench: Bench
    training: LabelledImages
    plan: Plan
    seed: int
    frozen_zeros: Mapping[str, torch.Tensor] = field(default_factory=dict)
