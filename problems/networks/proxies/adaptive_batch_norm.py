"""Batch-norm statistics of a pruned network, estimated anew on calibration images instead of fine-tuning it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.proxies.contract import NormEstimate, NormStatistics

__all__ = ["PROXIES", "averaged", "faded", "proxy_named"]

PUBLISHED_MOMENTUM = 0.1


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
    """Return the old statistics with every batch mixed in at a tenth, one after the other.

    Source: Li et al., EagleEye: Fast Sub-net Evaluation for Efficient Neural Network Pruning, arXiv 2007.02491, as its
    authors' code does it, where about a hundred batches leave next to nothing of the old statistics. With few batches
    much of them remains: four leave 0.9 ** 4, about 66 %. Unlike there, dropout stays off.
    """
    mean, variance = sliced.mean, sliced.variance
    for batch in batches:
        mean = torch.lerp(mean, batch.mean, PUBLISHED_MOMENTUM)
        variance = torch.lerp(variance, batch.variance, PUBLISHED_MOMENTUM)
    return NormStatistics(mean, variance)


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
