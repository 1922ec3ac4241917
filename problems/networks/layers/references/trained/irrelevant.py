"""Ratios that are left when weights that the loss does not depend on have decayed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Found, Paper, Reference, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.irrelevance import DecayingLessons, bisected_threshold
from emoprune.problems.networks.recovery.rounds.stage import best_stage

__all__ = ["Irrelevant"]


@about(
    "pruning",
    ["weights"],
    serves=("weight-ratios",),
    papers=[Paper("Regularization-based Pruning of Irrelevant Weights in Deep Neural Architectures", "2204.04977")],
    gradients=True,
    training=True,
    cost="one training of so many epochs, and some forty evaluations on select for each tolerance",
)
@dataclass(frozen=True, slots=True)
class Irrelevant:
    """Genomes of what is above one threshold once irrelevant weights have decayed; the loss on select says how high.

    The threshold is bisected: the largest one with which the loss rises by no more than the tolerance. Source: Bonetta
    et al., Regularization-based Pruning of Irrelevant Weights in Deep Neural Architectures, arXiv 2204.04977.

    Args:
        tolerances: By how many percent of itself the loss on select may rise, one reference for each.
        epochs: How long is trained.
        rate: The highest learning rate.
        decay: How much of a weight that is wholly irrelevant goes in a step, times the learning rate.

    Raises:
        ConfigError: One of them is out of range.
    """

    tolerances: tuple[int, ...] = (1, 5, 20)
    epochs: float = 5.0
    rate: float = 0.02
    decay: float = 0.1

    def __post_init__(self) -> None:
        Plan(self.epochs, self.rate)
        if not self.tolerances or min(self.tolerances) < 0 or len(set(self.tolerances)) < len(self.tolerances):
            raise ConfigError(f"tolerances: expected percentages of 0 or more, each once, found {self.tolerances}")
        if not 0 <= self.decay < float("inf"):
            raise ConfigError(f"decay: expected 0 or a positive number, found {self.decay}")

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each tolerance, and what training took.

        Raises:
            ConfigError: Training diverged.
        """
        training = inputs.training
        if training is None:
            raise ContractError("reference 'irrelevance': expected a problem whose network can be trained, found none")
        model, plan = training.copy(), Plan(self.epochs, self.rate)
        lessons = DecayingLessons(training.lessons(plan), self.decay)
        label = "reference irrelevance"
        spent = best_stage(model, lessons, training.seed, masks={}, macs=training.macs, label=label)
        model.requires_grad_(requires_grad=False)
        names = [f"{part.path}.weight" for part in inputs.levels.parts]
        whole = lessons.score(model)[1]
        references, notes = [], []
        for tolerance in self.tolerances:
            met = bisected_threshold(model, names, lambda own: lessons.score(own)[1], whole * tolerance / 100)
            counts = np.array([float((model.get_parameter(name).abs() >= met.value).sum()) for name in names])
            references.append(Reference(f"irrelevance-{tolerance}", inputs.levels.keeping(counts)))
            larger = (
                "" if met.monotone else "; the loss does not rise with every threshold: a larger one may do as well"
            )
            notes.append(f"irrelevance-{tolerance}: threshold {met.value:.3g}, loss {met.lost:+.4f}; {spent}{larger}")
        return Found(tuple(references), notes=tuple(notes))
