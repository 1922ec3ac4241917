"""What a proxy is checked for by itself, beside the promises of a problem that scores networks with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.compute.left_alone import global_generators, left_alone
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate, NormStatistics
from emoprune.problems.networks.evaluation.proxies.estimating import check_variances, settled_by, statistics_of

__all__ = ["check_proxy"]

CHANNELS, BATCHES = 5, 3


def check_proxy(make: Callable[[], NormEstimate]) -> None:
    """Check that a proxy says finite statistics of every channel, the same from the same ones, and changes nothing.

    Args:
        make: Returns a new one.

    Raises:
        ContractError: A promise is broken; it says what was expected and what was found.
    """
    norm, batches = _given()
    before = global_generators()
    found = [_said(make(), norm, batches) for _ in range(2)]
    if global_generators() != before:
        raise ContractError("proxy: expected global generators left alone, found one used")
    check_variances({"sample": found[0]})
    if not (torch.isfinite(found[0].mean).all() and torch.isfinite(found[0].variance).all()):
        raise ContractError("proxy: expected finite statistics of finite ones, found others")
    one, other = found
    if not (torch.equal(one.mean, other.mean) and torch.equal(one.variance, other.variance)):
        raise ContractError("proxy: expected equal statistics of equal batches, found different ones")


def _said(proxy: NormEstimate, norm: nn.Module, batches: list[NormStatistics]) -> NormStatistics:
    everything = [statistics_of(norm), *batches]
    tensors = {f"{name} {n}": getattr(own, name) for n, own in enumerate(everything) for name in ("mean", "variance")}

    def watched(sliced: NormStatistics, seen: list[NormStatistics]) -> NormStatistics:
        with left_alone("proxy", {"sliced.mean": sliced.mean, "sliced.variance": sliced.variance}, tensors):
            return proxy(sliced, seen)

    return settled_by(watched, norm, batches)  # type: ignore[arg-type]  # a list is the sequence that it is called with


def _given() -> tuple[nn.Module, list[NormStatistics]]:
    generator = torch.Generator().manual_seed(3)
    norm = nn.BatchNorm1d(CHANNELS)
    for name in ("running_mean", "running_var"):
        norm.get_buffer(name).copy_(torch.rand(CHANNELS, generator=generator) + 0.5)
    drawn = torch.rand((BATCHES, 2, CHANNELS), generator=generator) + 0.5
    return norm, [NormStatistics(mean, variance) for mean, variance in drawn]
