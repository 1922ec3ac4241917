"""Heads and neurons ranked by the knowledge that goes with them, for what they compute."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import Place, Sums, by_group, statistics_of
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["KPrune"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    papers=[
        Paper("Accurate Retraining-free Pruning for Pretrained Encoder-based Language Models (K-prune)", "2308.03449")
    ],
    gradients=True,
    cost="one pass forwards and backwards over the calibration batches",
)
class KPrune:
    """Predictive and representational knowledge of a unit, times its parameters' worth of computation.

    Predictive: half the mean squared derivative, by a gate on the unit, of the log-probabilities of labels drawn from
    the model itself at a temperature, which is the divergence from its own softened predictions to second order.
    Representational: mean squared activation times the mean squared weight of the projection's column. Heads count
    `head_weight` times. Source: Park et al., Accurate Retraining-free Pruning for Pretrained Encoder-based Language
    Models (K-prune), arXiv 2308.03449; there the divergence is taken anew before each sub-layer.

    Args:
        representational: The weight of the representational part.
        head_weight: By how much heads are favoured.
        temperature: How soft the predictions are.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __init__(self, representational: float = 2.5e-4, head_weight: float = 64.0, temperature: float = 2.0) -> None:
        if representational < 0 or head_weight <= 0 or temperature <= 0:
            raise ConfigError("k-prune: expected representational of 0 or more, head_weight and temperature above 0")
        self.representational = representational
        self.head_weight = head_weight
        self.temperature = temperature

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return the knowledge of each unit; divided by what it costs, it ranks units of all layers."""
        generator = torch.Generator().manual_seed(evidence.seed)

        def loss(model: Any, batch: Batch) -> torch.Tensor:
            return evidence.task.own_loss(model, batch, self.temperature, generator) * self.temperature

        sums = statistics_of(evidence, loss)
        return by_group(evidence, ((place, self._knowledge(evidence, place, own)) for place, own in sums.items()))

    def _knowledge(self, evidence: TransformerEvidence, place: Place, sums: Sums) -> torch.Tensor:
        weight = evidence.model.get_submodule(place.path).weight.detach()
        predictive = sums.example_squares / max(1, sums.examples) / 2
        channels = (sums.squares / max(1, sums.tokens)) * weight.double().square().mean(dim=0)
        representational = channels.unflatten(0, (place.units, place.width)).mean(dim=1)
        knowledge = predictive + self.representational * representational
        return torch.as_tensor(knowledge * (self.head_weight if place.width > 1 else 1.0))
