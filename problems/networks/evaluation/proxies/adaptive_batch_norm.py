"""Batch-norm statistics of a pruned network, estimated anew on calibration images instead of fine-tuning it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.objectives.contract import SERVES
from emoprune.problems.networks.evaluation.proxies.contract import NormStatistics

__all__ = ["AdaptiveBatchNorm", "PublishedAdaptiveBatchNorm"]

_of_eagle_eye = about(
    "measurement",
    ["network"],
    serves=SERVES,
    cost="one pass over the calibration images for each network",
    papers=[Paper("EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning", "2007.02491")],
)


@_of_eagle_eye
@dataclass(frozen=True, slots=True)
class AdaptiveBatchNorm:
    """Plain averages of the statistics of the calibration batches, each of which counts the same.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491. There
    the old statistics fade out; here they are reset first, so that nothing of the unpruned network's statistics remains
    and the result does not depend on how many batches it takes to forget them. As in torch with momentum None.
    """

    def __call__(
        self,
        sliced: NormStatistics,  # noqa: ARG002  # the contract's; nothing of it remains
        batches: Sequence[NormStatistics],
    ) -> NormStatistics:
        """Return the averages over the batches."""
        means, variances = ([getattr(batch, name) for batch in batches] for name in ("mean", "variance"))
        return NormStatistics(torch.stack(means).mean(dim=0), torch.stack(variances).mean(dim=0))


@_of_eagle_eye
@dataclass(frozen=True, slots=True)
class PublishedAdaptiveBatchNorm:
    """The old statistics with the calibration batches mixed in at a tenth each, in turn, a hundred times.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491, as its
    authors' code does it, in which a hundred batches leave next to nothing of the old statistics. Fewer batches come
    back in whole rounds until there were as many; a batch says the same each time, so that it runs only once. The last
    ones weigh most, as there. Unlike there, dropout stays off.

    Args:
        momentum: The share of a batch when it is mixed in.
        passes: How many batches are mixed in, at least.

    Raises:
        ConfigError: An option is out of range.
    """

    momentum: float = 0.1
    passes: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.momentum <= 1 or self.passes < 1:
            raise ConfigError(
                f"proxy: expected a momentum above 0 and at most 1, and 1 pass or more, found {self.momentum} and "
                f"{self.passes}"
            )

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        """Return what is left of the old statistics, mixed with those of the batches."""
        rounds = -(-self.passes // len(batches))
        left = (1 - self.momentum) ** np.arange(rounds * len(batches) - 1, -1, -1)
        weights = torch.from_numpy(self.momentum * left.reshape(rounds, len(batches)).sum(axis=0))
        old = (1 - self.momentum) ** (rounds * len(batches))
        return NormStatistics(
            *(_mixed(getattr(sliced, name), batches, name, weights, old) for name in ("mean", "variance"))
        )


def _mixed(
    sliced: torch.Tensor, batches: Sequence[NormStatistics], name: str, weights: torch.Tensor, old: float
) -> torch.Tensor:
    met = torch.stack([getattr(batch, name) for batch in batches]).double()
    mixed = old * sliced.double() + weights.to(met.device) @ met
    return mixed.to(sliced.dtype)
