"""Batch-norm statistics of a pruned network, estimated anew on calibration images instead of fine-tuning it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.evaluation.proxies.contract import NormStatistics

__all__ = ["AdaptiveBatchNorm", "PublishedAdaptiveBatchNorm"]

PUBLISHED_MOMENTUM = 0.1
PUBLISHED_PASSES = 100


EAGLE_EYE = Paper("EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", "2007.02491")
SERVED = ("channels", "weight-ratios", "bit-widths", "subnetworks")


@about("measurement", ["networks"], serves=SERVED, cost="one pass over the calibration images", papers=[EAGLE_EYE])
@dataclass(frozen=True, slots=True)
class AdaptiveBatchNorm:
    """Plain averages over the calibration batches, each of which counts the same.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491. There
    the old statistics fade out; here they are reset first, so that nothing of the unpruned network's statistics remains
    and the result does not depend on how many batches it takes to forget them. As in torch with momentum None.
    """

    def __call__(
        self,
        sliced: NormStatistics,  # noqa: ARG002  # the contract's; nothing of it remains
        batches: Sequence[NormStatistics],
    ) -> NormStatistics:
        """Return the averages of one batch norm."""
        means, variances = ([getattr(batch, name) for batch in batches] for name in ("mean", "variance"))
        return NormStatistics(torch.stack(means).mean(dim=0), torch.stack(variances).mean(dim=0))


@about("measurement", ["networks"], serves=SERVED, cost="one pass over the calibration images", papers=[EAGLE_EYE])
@dataclass(frozen=True, slots=True)
class PublishedAdaptiveBatchNorm:
    """The old statistics with the calibration batches mixed in at a tenth each, in turn, a hundred times.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491, as its
    authors' code does it, in which a hundred batches leave next to nothing of the old statistics. Fewer batches come
    back in whole rounds until there were as many; a batch says the same each time, so that it runs only once. The last
    ones weigh most, as there. Unlike there, dropout stays off.
    """

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        """Return the mixed statistics of one batch norm."""
        rounds = -(-PUBLISHED_PASSES // len(batches))
        left = (1 - PUBLISHED_MOMENTUM) ** np.arange(rounds * len(batches) - 1, -1, -1)
        weights = torch.from_numpy(PUBLISHED_MOMENTUM * left.reshape(rounds, len(batches)).sum(axis=0))
        old = (1 - PUBLISHED_MOMENTUM) ** (rounds * len(batches))
        return NormStatistics(
            *(_mixed(getattr(sliced, name), batches, name, weights, old) for name in ("mean", "variance"))
        )


def _mixed(
    sliced: torch.Tensor, batches: Sequence[NormStatistics], name: str, weights: torch.Tensor, old: float
) -> torch.Tensor:
    met = torch.stack([getattr(batch, name) for batch in batches]).double()
    mixed = old * sliced.double() + weights.to(met.device) @ met
    return mixed.to(sliced.dtype)
