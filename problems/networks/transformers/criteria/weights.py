"""Heads and neurons ranked by their weights, alone or by what flows through them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import Place, by_group, places_of, squares_of

__all__ = ["Magnitude", "Wanda"]


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="one pass over the weights")
class Magnitude:
    """L2 norm of all the weights that would go with a unit: its rows that put it out, its columns that take it in."""

    leaf: ClassVar[str] = "filter ranking/weight norm"

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return the norms."""
        return by_group(evidence, self._norms(evidence))

    def _norms(self, evidence: TransformerEvidence) -> Iterator[tuple[Place, torch.Tensor]]:
        anatomy = evidence.structure
        for place in places_of(anatomy):
            number = place.group // 2
            block, start = anatomy.blocks[number], f"{anatomy.path}.{number}."
            squares = evidence.model.get_submodule(place.path).weight.detach().double().square().sum(dim=0)
            if place.group % 2 == 0:
                rows = [block.attention.query]
            else:
                rows = next(list(own.inputs) for own in block.feed_forwards if start + own.output == place.path)
            for path in rows:
                squares = squares + evidence.model.get_submodule(start + path).weight.detach().double().square().sum(
                    dim=1
                )
            yield place, squares.unflatten(0, (place.units, place.width)).sum(dim=1).sqrt()


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    papers=[Paper("A Simple and Effective Pruning Approach for Large Language Models", "2306.11695")],
    cost="one pass over the calibration batches",
)
class Wanda:
    """Weights of the output projection times the L2 norms of the channels that they take in, summed over a unit.

    Source: Sun et al., A Simple and Effective Pruning Approach for Large Language Models, arXiv 2306.11695, where it
    ranks single weights within a row; here a unit's weights are summed, and the sums are shares of their layer's mean,
    because the norms grow with depth and a threshold across layers would empty the first ones.
    """

    leaf: ClassVar[str] = "filter ranking/activation of this layer"

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return the sums over each unit's columns."""
        values = []
        for place, (squares, tokens) in squares_of(evidence).items():
            weight = evidence.model.get_submodule(place.path).weight.detach().double().abs().sum(dim=0)
            scaled = weight * (squares / max(1, tokens)).sqrt()
            of_units = scaled.unflatten(0, (place.units, place.width)).sum(dim=1)
            values.append((place, of_units / of_units.mean().clamp_min(torch.finfo(torch.float64).tiny)))
        return by_group(evidence, iter(values))
