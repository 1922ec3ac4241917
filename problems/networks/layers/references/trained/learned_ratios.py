"""Ratios that a soft mask learns while all weights of a network compete under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from emoprune.contracts import FloatArray, Found, Paper, Reference, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares
from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.recovery.masks.contract import Maskable, SoftMask, zeros_of
from emoprune.problems.networks.recovery.masks.hard_concrete import HardConcrete
from emoprune.problems.networks.recovery.masks.pdp import Pdp
from emoprune.problems.networks.recovery.masks.training import train_with_masks
from emoprune.problems.networks.recovery.masks.transport import Transport
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.training import Training

__all__ = ["HardConcreteRatios", "PdpRatios", "TransportRatios"]


class _AllLayers:
    """A network of which all prunable weights are one row, so that layers compete for what stays."""

    def __init__(self, training: Training, levels: LayerLevels, keep: int) -> None:
        self.model = training.copy()
        members, begin = {}, 0
        for part, shape in levels.layers:
            count = torch.Size(shape).numel()
            members[f"{part.path}.weight"] = torch.arange(begin, begin + count).view(shape)
            begin += count
        self._maskable = Maskable("all layers", members, 1, begin, keep)
        self.counts: FloatArray = np.zeros(len(levels.layers))

    def maskables(self) -> Sequence[Maskable]:
        """Return the one row."""
        return [self._maskable]

    def decide(self, stays: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Count what stays of each layer, and return what is zero."""
        zeros = zeros_of(self.maskables(), stays)
        self.counts = np.array([float((~own).sum()) for own in zeros.values()])
        return zeros


@dataclass(frozen=True, slots=True)
class _LearnedRatios(AtShares):
    """One training for each target; the network that comes out of it is told of, and its ratios are the reference."""

    percentages: tuple[int, ...] = (50, 25, 10)
    epochs: float = 5.0
    rate: float = 0.02

    name: ClassVar[str]
    mask: ClassVar[Callable[[], SoftMask]]  # that weights compete under

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        Plan(self.epochs, self.rate)

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target, and what its training took and led to.

        Raises:
            ConfigError: A target keeps no weight at all, or training diverged.
        """
        references, notes = [], []
        for percentage in self.percentages:
            counts, note = self._trained(inputs, percentage)
            label = f"{self.name}-{percentage}"
            references.append(Reference(label, inputs.levels.keeping(counts)))
            notes.append(f"{label}: {note}")
        return Found(tuple(references), notes=tuple(notes))

    def _trained(self, inputs: LayerReferenceInputs, percentage: int) -> tuple[FloatArray, str]:
        training = inputs.training
        if training is None:
            raise ContractError(f"reference {self.name!r}: expected a problem whose network can be trained, found none")
        total = int(inputs.levels.sizes.sum())
        keep = round(total * percentage / 100)
        if keep < len(inputs.levels.layers):
            raise ConfigError(
                f"reference {self.name!r}: {percentage} % are {keep} of {total} weights, fewer than there are layers; "
                "raise the percentage"
            )
        pruned, plan, mask = _AllLayers(training, inputs.levels, keep), Plan(self.epochs, self.rate), type(self).mask()
        lessons = training.lessons(plan)
        folder = None if training.folder is None else training.folder / "references"
        key = f"{self.name} {percentage} {plan} {mask} {training.seed}"
        spent = train_with_masks(
            pruned,
            mask,
            lessons,
            training.seed,
            folder=folder,
            key=key,
            macs=training.macs,
            label=f"reference {self.name}-{percentage}",
        )
        wrong = lessons.score(pruned.model)[0] / len(training.select.labels)
        return pruned.counts, f"trained at {percentage} % it errs on {wrong:.1%} of select; {spent}"


_COST = "a training of so many epochs for each target"
_SERVES = ("weight-ratios",)


@about(
    "pruning",
    ["weights"],
    serves=_SERVES,
    papers=[Paper("PDP: Parameter-free Differentiable Pruning is All You Need", "2305.11203")],
    gradients=True,
    training=True,
    cost=_COST,
)
@dataclass(frozen=True, slots=True)
class PdpRatios(_LearnedRatios):
    """Genomes of the ratios that training under PDP leads to, one threshold for all layers.

    Source: Cho et al., PDP: Parameter-free Differentiable Pruning is All You Need, arXiv 2305.11203; there the ratios
    are fixed by one global threshold after a warm-up, here it moves with the weights until the end.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        epochs: How often the training images are seen for each target.
        rate: The highest learning rate.
    """

    name = "pdp"
    mask = Pdp


@about(
    "pruning",
    ["weights"],
    serves=_SERVES,
    papers=[Paper("Differentiable Transportation Pruning", "2307.08483")],
    gradients=True,
    training=True,
    cost=_COST,
)
@dataclass(frozen=True, slots=True)
class TransportRatios(_LearnedRatios):
    """Genomes of the ratios that training under a plan of transport over all weights leads to.

    Source: Li et al., Differentiable Transportation Pruning, arXiv 2307.08483, its budget for the whole network.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        epochs: How often the training images are seen for each target.
        rate: The highest learning rate of the weights.
    """

    name = "transport"
    mask = Transport


@about(
    "pruning",
    ["weights"],
    serves=_SERVES,
    papers=[Paper("Learning Sparse Neural Networks through L0 Regularization", "1712.01312")],
    gradients=True,
    training=True,
    cost=_COST,
)
@dataclass(frozen=True, slots=True)
class HardConcreteRatios(_LearnedRatios):
    """Genomes of the ratios that training under hard-concrete gates over all weights leads to.

    Source: Louizos et al., Learning Sparse Neural Networks through L0 Regularization, arXiv 1712.01312; multipliers
    meet the target.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        epochs: How often the training images are seen for each target.
        rate: The highest learning rate of the weights.
    """

    name = "hard-concrete"
    mask = HardConcrete
