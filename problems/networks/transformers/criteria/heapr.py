"""Heads and neurons ranked by the second-order change of the loss without them."""

from __future__ import annotations

from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.transformers.criteria.contract import Scores, TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import Place, Sums, by_group, statistics_of

__all__ = ["HEAPr", "HEAPrExact"]


@about(
    "pruning",
    ["heads", "neurons", "experts' neurons"],
    serves=["heads-and-neurons"],
    papers=[Paper("HEAPr: Hessian-based Efficient Atomic Expert Pruning in Output Space", "2509.22299")],
    gradients=True,
    cost="one pass forwards and backwards over the calibration batches",
)
class HEAPr:
    """Mean squared activation times the curvature that the output projection's column meets: E[x²] wᵀ E[g gᵀ] w.

    x is what a neuron puts out, w its column, g the gradient of the loss by the projection's outputs; the means are
    taken apart, as if x and g were independent. In a mixture each expert has its own means, over the tokens that were
    sent to it, times the share of all tokens that it gets if `by_traffic`. Source: Li et al., HEAPr: Hessian-based
    Efficient Atomic Expert Pruning in Output Space, arXiv 2509.22299, for neurons of experts; a head of several
    channels is scored alike, by tr(E[g gᵀ] W E[x xᵀ] Wᵀ).

    Args:
        by_traffic: Whether an expert that few tokens are sent to counts less.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __init__(self, by_traffic: bool = False) -> None:
        self.by_traffic = by_traffic

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return half the expected squared change to first order of the loss, summed over a token's channels."""
        sums = statistics_of(evidence)
        most = max((own.tokens for own in sums.values()), default=1)
        values = (
            (place, _score(evidence, place, own) * (own.tokens / most if self.by_traffic else 1.0))
            for place, own in sums.items()
        )
        return by_group(evidence, values)


def _score(evidence: TransformerEvidence, place: Place, sums: Sums) -> torch.Tensor:
    tokens = max(1, sums.tokens)
    weight: torch.Tensor = evidence.model.get_submodule(place.path).weight.detach()
    curvature = sums.outgoing / tokens
    if place.width == 1:
        return (sums.squares / tokens) * (weight * (curvature @ weight)).sum(dim=0).double() / 2
    columns = weight.view(len(weight), place.units, place.width).movedim(1, 0)  # (units, out, width)
    met = columns.transpose(1, 2) @ curvature @ columns  # (units, width, width)
    return torch.as_tensor((met * sums.products / tokens).sum(dim=(1, 2)).double() / 2)


@about(
    "pruning",
    ["heads", "neurons", "experts' neurons"],
    serves=["heads-and-neurons"],
    gradients=True,
    cost="one pass forwards and backwards over the calibration batches",
)
class HEAPrExact:
    """Mean over the tokens of the squared first-order change of the loss, (x gᵀw)², without taking means apart.

    The empirical Fisher information of a gate on the unit; one backward pass, like HEAPr.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __call__(self, evidence: TransformerEvidence) -> list[Scores]:
        """Return half the mean squares."""
        sums = statistics_of(evidence)
        values = ((place, own.token_squares / max(1, own.tokens) / 2) for place, own in sums.items())
        return by_group(evidence, values)
