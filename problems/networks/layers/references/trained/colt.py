"""Cyclic overlapping lottery tickets: what two networks, each trained on half of the classes, both keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.layers.references.targets import AtShares
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.rounds.stage import stage_steps, train_stage
from emoprune.problems.networks.recovery.rounds.states import State
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["Colt", "Overlap", "overlapping"]

MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """The masks after a round, true where a weight is gone, the share that stays, and what all rounds so far took."""

    masks: Masks
    share: float
    spent: Spent


@about(
    "pruning",
    ["weights"],
    serves=("weight-ratios",),
    papers=[
        Paper(
            "COLT: Cyclic Overlapping Lottery Tickets for Faster Pruning of Convolutional Neural Networks", "2212.12770"
        )
    ],
    gradients=True,
    training=True,
    cost="two trainings on half of the classes in each round, until the smallest target is met",
)
@dataclass(frozen=True, slots=True)
class Colt(AtShares):
    """Genomes of what stays where two networks overlap that are trained on half of the classes each, round by round.

    Both begin with the same weights; in each round each prunes a share of its smallest live weights, what either prunes
    is gone, and both are set back. More goes in a round than the share, so that fewer rounds are needed than of
    iterative magnitude pruning. Source: Hossain et al., COLT, arXiv 2212.12770.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        share: How much of the live weights each network prunes in a round.
        epochs: How often each network sees its images in a round.
        rate: The highest learning rate.
        start: What both begin with: the unpruned network (dense), or weights that are drawn anew (initialisation).
    """

    percentages: tuple[int, ...] = (50, 25, 10)
    share: float = 0.15
    epochs: float = 1.0
    rate: float = 0.02
    start: Literal["dense", "initialisation"] = "dense"

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        if not 0 < self.share < 1:
            raise ConfigError(f"share: expected a share of the live weights between 0 and 1, found {self.share}")
        Plan(self.epochs, self.rate)

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return, for each target, what the first round that meets it leaves of each layer.

        Raises:
            ConfigError: There are too few classes, a target is not met, or training diverged.
        """
        training = inputs.training
        if training is None:
            raise ContractError("reference 'colt': expected a problem whose network can be trained, found none")
        plan, names = Plan(self.epochs, self.rate), [f"{part.path}.weight" for part in inputs.levels.parts]
        model = training.copy()
        if self.start == "initialisation":
            model = drawn_anew(model, training.seed)
        lessons = [half.lessons(plan) for half in training.halves()]
        least = min(self.percentages) / 100
        rounds = overlapping(model, names, lessons, self.share, least, seed=training.seed, macs=training.macs)
        references, notes = [], []
        for percentage in self.percentages:
            number = next(row for row, own in enumerate(rounds) if own.share <= percentage / 100)
            counts = np.array([float((~rounds[number].masks[name]).sum()) for name in names])
            label = f"colt-{percentage}"
            references.append(Reference(label, inputs.levels.keeping(counts)))
            notes.append(f"{label}: {number + 1} rounds of two trainings; {rounds[number].spent}")
        return Found(tuple(references), notes=tuple(notes))


def overlapping(
    model: nn.Module,
    names: Sequence[str],
    lessons: Sequence[Lessons],
    share: float,
    least: float,
    *,
    seed: int,
    macs: float = 0.0,
) -> list[Overlap]:
    """Return the rounds until at most `least` of the weights stay; of one kind of lessons, iterative magnitude pruning.

    In each round copies of `model` are trained, one on each of the lessons; each prunes a share of its smallest live
    weights, over all layers together; what any of them prunes is gone. Of each layer the largest weight stays.

    Args:
        model: Where all copies begin in each round; it stays as it was.
        names: The parameters that are pruned.
        lessons: What each copy is trained on.
        share: How much of the live weights goes in a round.
        least: The share of the weights at which rounds end.
        seed: All randomness.
        macs: Multiply-accumulates of one example's forward pass.

    Raises:
        ConfigError: So few weights cannot be reached, or training diverged.
    """
    begun, found = State.of(model), list[Overlap]()
    masks = {name: torch.zeros_like(model.get_parameter(name), dtype=torch.bool) for name in names}
    last = Overlap(masks, 1.0, Spent(0, 0, 0.0))
    while last.share > least:
        if len(found) == MOST_ROUNDS:
            raise ConfigError(
                f"reference 'colt': {least:.1%} of the weights were not reached in {MOST_ROUNDS} rounds; raise `share` "
                "or the percentages"
            )
        train = partial(
            train_stage, model, macs=macs, masks=last.masks, label=f"reference colt: round {len(found) + 1}"
        )
        gone, spent = {name: own.clone() for name, own in last.masks.items()}, last.spent
        for number, each in enumerate(lessons):
            begun.into(model)
            spent += train(each, stage_steps(each, 1), (seed + len(found) * len(lessons) + number) % 2**63)
            for name, own in _smallest(model, last.masks, share).items():
                gone[name] |= own
        last = _overlap(begun, last.masks, gone, spent)
        found.append(last)
    begun.into(model)
    return found


def _overlap(begun: State, before: Masks, gone: dict[str, torch.Tensor], spent: Spent) -> Overlap:
    """Return what stays when all of `gone` goes: of a layer that would be emptied the weight that began largest."""
    for name, own in gone.items():
        if bool(own.all()):
            own.view(-1)[begun.model[name].abs().masked_fill(before[name], -1.0).argmax()] = False
    left, total = sum(int((~own).sum()) for own in gone.values()), sum(own.numel() for own in gone.values())
    return Overlap(gone, left / total, spent)


def _smallest(model: nn.Module, masks: Masks, share: float) -> dict[str, torch.Tensor]:
    """Return where a share of the live weights with the smallest magnitudes is, all layers together."""
    sizes = {name: model.get_parameter(name).detach().abs() for name in masks}
    live = torch.cat([sizes[name][~mask] for name, mask in masks.items()])
    going = max(1, int(len(live) * share))
    threshold = live.kthvalue(min(going, len(live))).values
    return {name: ~mask & (sizes[name] <= threshold) for name, mask in masks.items()}
