"""Sparsity-informed adaptive pruning in rounds: the network is trained, its PQ index says how much of it can go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from emoprune.contracts import FloatArray, Found, Paper, Reference, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.references.ratios import kept_share_of_pq
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.evaluation.sparsity_index import pq_index
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Lessons
from emoprune.problems.networks.recovery.rounds.stage import emptied, stage_steps, train_stage
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["Sap", "SapRound", "sap_rounds", "staying_of", "turning_point"]

MOST_ROUNDS = 30


@dataclass(frozen=True, slots=True, eq=False)
class SapRound:
    """What a round leaves of each layer, shape (layers,), the index that said so, and what all rounds so far took.

    `index` is that of all weights that were there when the round's training ended, `share` what of all weights is left.
    """

    counts: FloatArray
    share: float
    index: float
    spent: Spent


@about(
    "pruning",
    ["weights"],
    serves=("weight-ratios",),
    papers=[Paper("Pruning Deep Neural Networks from a Sparsity Perspective", "2302.05601")],
    gradients=True,
    training=True,
    cost="a training of so many epochs in each round, until the smallest target is met",
)
@dataclass(frozen=True, slots=True)
class Sap(AtShares):
    """Genomes of rounds in which a network is trained and the PQ index of each layer's weights says what share stays.

    `sap-limit` is where the index of all weights begins to rise again: there, the paper says, the network begins to
    underfit. Weights go on from round to round. Source: Diao et al., Pruning Deep Neural Networks from a Sparsity
    Perspective, arXiv 2302.05601; the references pq-0_5-1 and pq-1-2 are its ratios without training.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        p: The index's first norm.
        q: The index's second norm.
        gamma: By what the share that goes in a round is multiplied; the published factor, 1 as the index says it.
        epochs: How long is trained in each round.
        rate: The highest learning rate.
    """

    percentages: tuple[int, ...] = (50, 25, 10)
    p: float = 0.5
    q: float = 1.0
    gamma: float = 1.0
    epochs: float = 1.0
    rate: float = 0.02

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        Plan(self.epochs, self.rate)
        if not 0 < self.p < self.q:
            raise ConfigError(f"PQ index: expected 0 < p < q, found p = {self.p} and q = {self.q}")
        if not 0 < self.gamma < float("inf"):
            raise ConfigError(f"gamma: expected a number above 0, found {self.gamma}")

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return, for each target, what the first round that meets it leaves, and what is left at the limit.

        Where not all targets are met, what the last round leaves is returned as well.

        Raises:
            ConfigError: Training diverged.
        """
        training = inputs.training
        if training is None:
            raise ContractError("reference 'sap': expected a problem whose network can be trained, found none")
        names, least = [f"{part.path}.weight" for part in inputs.levels.parts], min(self.percentages) / 100
        lessons = training.lessons(Plan(self.epochs, self.rate))
        staying = partial(staying_of, p=self.p, q=self.q, gamma=self.gamma)
        rounds = sap_rounds(training.copy(), names, lessons, staying, least, seed=training.seed, macs=training.macs)
        references, notes = [], []
        for percentage in self.percentages:
            label = f"sap-{percentage}"
            number = next((row for row, own in enumerate(rounds) if own.share <= percentage / 100), None)
            if number is None:
                notes.append(f"{label}: left out, because {len(rounds)} rounds leave {rounds[-1].share:.1%}")
                continue
            references.append(Reference(label, inputs.levels.keeping(rounds[number].counts)))
            notes.append(f"{label}: {number + 1} rounds leave {rounds[number].share:.1%}; {rounds[number].spent}")
        if rounds[-1].share > least:
            references.append(Reference("sap-end", inputs.levels.keeping(rounds[-1].counts)))
            notes.append(f"sap-end: all {len(rounds)} rounds leave {rounds[-1].share:.1%}; {rounds[-1].spent}")
        turned = turning_point([own.index for own in rounds])
        if turned:
            at = rounds[turned - 1]
            references.append(Reference("sap-limit", inputs.levels.keeping(at.counts)))
            notes.append(f"sap-limit: the index rises after {turned} rounds, which leave {at.share:.1%}")
        return Found(tuple(references), notes=tuple(notes))


def sap_rounds(
    model: nn.Module,
    names: Sequence[str],
    lessons: Lessons,
    staying: Callable[[FloatArray], tuple[float, float]],
    least: float,
    *,
    seed: int,
    macs: float = 0.0,
) -> list[SapRound]:
    """Train `model` in place, prune it as its index says, and so on until at most `least` of the weights stay.

    Of each layer at least a tenth stays in a round, and at least one weight. Rounds end where nothing goes any more.

    Args:
        model: It is trained, and weights of it are zeroed.
        names: The parameters that are pruned.
        lessons: What it is trained on, through one schedule in each round.
        staying: Returns the index of weights that are there, shape (weights,), and the share of them that stays.
        least: The share of the weights at which rounds end.
        seed: All randomness.
        macs: Multiply-accumulates of one example's forward pass.

    Raises:
        ConfigError: Training diverged.
    """
    masks = {name: torch.zeros_like(model.get_parameter(name), dtype=torch.bool) for name in names}
    total, spent, found = sum(own.numel() for own in masks.values()), Spent(0, 0, 0.0), list[SapRound]()
    steps = stage_steps(lessons, 1)
    while len(found) < MOST_ROUNDS and (not found or found[-1].share > least):
        label = f"reference sap: round {len(found) + 1}"
        spent += train_stage(model, lessons, steps, (seed + len(found)) % 2**63, masks=masks, macs=macs, label=label)
        sizes = {name: model.get_parameter(name).detach().abs()[~mask] for name, mask in masks.items()}
        before = sum(len(own) for own in sizes.values())
        index, _ = staying(torch.cat(list(sizes.values())).double().numpy())
        for name, mask in masks.items():
            own = sizes[name]
            keep = max(1, round(len(own) * staying(own.double().numpy())[1]))
            if keep < len(own):
                threshold = own.kthvalue(len(own) - keep).values
                masks[name] = mask | (model.get_parameter(name).detach().abs() <= threshold)
        emptied(model, masks)
        counts = np.array([float((~own).sum()) for own in masks.values()])
        found.append(SapRound(counts, float(counts.sum()) / total, index, spent))
        if counts.sum() == before:
            break
    return found


def staying_of(weights: FloatArray, *, p: float, q: float, gamma: float) -> tuple[float, float]:
    """Return the PQ index of weights, shape (weights,), and the share of them that a round of SAP keeps."""
    index = pq_index(weights, p, q)
    return index, kept_share_of_pq(index, len(weights), p, q, gamma=gamma)


def turning_point(indices: Sequence[float]) -> int:
    """Return after how many rounds the index rises, having fallen before; 0 if it never does."""
    fell = False
    for number in range(1, len(indices)):
        if fell and indices[number] > indices[number - 1]:
            return number
        fell = fell or indices[number] < indices[number - 1]
    return 0
