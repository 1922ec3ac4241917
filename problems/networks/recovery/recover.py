"""Winning back what pruning cost: a chosen network fine-tuned, or distilled from the unpruned one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.measures import scores_of
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.targets import Distilled, Labels, Target
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["Method", "recovered_network", "values_on"]

Method = Literal["finetune", "distil"]
_NAMES = frozenset({"error", "loss", "kl"})


def recovered_network(
    variant: Variant,
    bench: Bench,
    part: LabelledImages,
    *,
    epochs: float = 10.0,
    method: Method = "finetune",
    seed: int = 0,
    rate: float = 0.02,
    batch: int = 64,
    weight_decay: float = 5e-4,
    temperature: float = 4.0,
    weight: float = 0.9,
    flips: bool = False,
    shift: int = 0,
    frozen_zeros: Mapping[str, torch.Tensor] | None = None,
) -> nn.Module:
    """Train a pruned network and return the weights that were best on `select`, those before the first step included.

    Args:
        variant: What is trained, as `Runner.settled` gives it; it stays as it was.
        bench: Holds the unpruned network, which teaches when distilling, and the select part.
        part: The training part.
        epochs: How often all training images are seen; 0.5 is half of them once.
        method: `finetune` trains towards the labels; `distil` also towards the unpruned network's outputs, arXiv
            1503.02531.
        seed: Fixes the order of the images, how they are varied, and dropout.
        rate: The highest learning rate.
        batch: Images per step.
        weight_decay: L2 penalty per step.
        temperature: How soft the teacher's probabilities are made when distilling.
        weight: The teacher's share of the loss when distilling, from 0 to 1.
        flips: Mirror half of the images.
        shift: Move each image by up to so many pixels.
        frozen_zeros: By a parameter's name a mask, true where a weight is zero and stays so.

    Raises:
        ConfigError: An option cannot be used, or the training diverged.
        ContractError: A mask does not fit.
    """
    if method not in get_args(Method):
        raise ConfigError(f"method: expected {' or '.join(get_args(Method))}, found {method!r}")
    plan = Plan(epochs, rate, batch, weight_decay, flips=flips, shift=shift)
    training = TrainingImages.load(part, bench.device)
    target: Target = Labels()
    if method == "distil":
        varied = plan.flips or plan.shift > 0
        target = Distilled.by(bench.network, training.images, varied=varied, temperature=temperature, weight=weight)
    found = trained(
        variant.network,
        training,
        plan,
        seed,
        target=target,
        held_out=bench.images[Split.SELECT],
        from_start=True,
        frozen_zeros=frozen_zeros,
        label=f"recovery by {method}",
    )
    return found.network


def values_on(network: nn.Module, unpruned: nn.Module, images: LoadedImages) -> dict[str, float]:
    """Return error, loss and kl to the unpruned network, both in eval mode, on some images.

    Raises:
        ContractError: The network's outputs are not finite.
    """
    outputs = outputs_of(network, images)
    if not torch.isfinite(outputs).all():
        raise ContractError("the network's outputs are not finite; prune less of it or lower the learning rate")
    return scores_of(outputs, images.labels, outputs_of(unpruned, images), _NAMES)
