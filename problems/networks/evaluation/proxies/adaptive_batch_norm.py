"""Batch-norm statistics of a pruned network, estimated anew on calibration images instead of fine-tuning it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate, NormStatistics

__all__ = ["PROXIES", "averaged", "faded", "proxy_named"]

PUBLISHED_MOMENTUM = 0.1
PUBLISHED_PASSES = 100


def averaged(
    sliced: NormStatistics,  # noqa: ARG001  # the contract's; nothing of it remains
    batches: Sequence[NormStatistics],
) -> NormStatistics:
    """Return the plain averages over the batches, each of which counts the same.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491. There
    the old statistics fade out; here they are reset first, so that nothing of the unpruned network's statistics remains
    and the result does not depend on how many batches it takes to forget them. As in torch with momentum None.
    """
    means, variances = ([getattr(batch, name) for batch in batches] for name in ("mean", "variance"))
    return NormStatistics(torch.stack(means).mean(dim=0), torch.stack(variances).mean(dim=0))


def faded(sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
    """Return the old statistics with the batches mixed in at a tenth each, in turn, a hundred times.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491, as its
    authors' code does it, in which a hundred batches leave next to nothing of the old statistics. Fewer batches come
    back in whole rounds until there were as many; a batch says the same each time, so that it runs only once. The last
    ones weigh most, as there. Unlike there, dropout stays off.
    """
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


PROXIES: Mapping[str, NormEstimate | None] = MappingProxyType(
    {"adaptive-batch-norm": averaged, "adaptive-batch-norm-published": faded, "none": None}
)


def proxy_named(name: str) -> NormEstimate | None:
    """Return how statistics are estimated anew; None keeps the sliced ones.

    Raises:
        ConfigError: No proxy has this name.
    """
    if name not in PROXIES:
        raise ConfigError(f"proxy: expected one of {', '.join(PROXIES)}, found {name!r}")
    return PROXIES[name]
