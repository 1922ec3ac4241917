"""Meeting the calibration batches: what every batch norm of a network sees of them, and the network that knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.pruned_module import clone, with_tensors
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate, NormStatistics

__all__ = [
    "check_batches",
    "check_variances",
    "estimated",
    "estimating_norms",
    "recorded",
    "recording",
    "settled_by",
    "statistics_of",
    "with_statistics",
]


def estimating_norms(network: nn.Module) -> dict[str, _BatchNorm]:
    """Return by path the batch norms that have statistics to estimate; without, they use each batch's own anyway."""
    return {
        path: module
        for path, module in network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean is not None and module.running_var is not None
    }


def check_batches(batches: Sequence[torch.Tensor]) -> None:
    """Refuse calibration batches from which no variance can be estimated.

    Raises:
        ContractError: There is none, or one of them has a single image.
    """
    sizes = [len(batch) for batch in batches]
    if not sizes or min(sizes) < 2:
        raise ContractError(f"calibration: expected one or more batches of at least 2 images each, found sizes {sizes}")


def statistics_of(norm: nn.Module) -> NormStatistics:
    """Return the running statistics a batch norm holds."""
    mean, variance = norm.running_mean, norm.running_var
    if not isinstance(mean, torch.Tensor) or not isinstance(variance, torch.Tensor):
        raise ContractError(f"expected a batch norm with running statistics, found {type(norm).__name__}")
    return NormStatistics(mean, variance)


def recording(norm: nn.Module) -> nn.Module:
    """Return a copy of a batch norm that normalises each batch by itself and remembers the last batch's statistics."""
    own = statistics_of(norm)
    made = clone(norm)
    made.__dict__["momentum"] = 1.0  # nothing of the batch before remains
    for name, tensor in (("running_mean", own.mean), ("running_var", own.variance)):
        made._buffers[name] = torch.zeros_like(tensor)  # noqa: SLF001  # the copy's alone, as `clone` left it
    if isinstance(tracked := made._buffers.get("num_batches_tracked"), torch.Tensor):  # noqa: SLF001  # likewise
        made._buffers["num_batches_tracked"] = torch.zeros_like(tracked)  # noqa: SLF001  # likewise
    return made.train()


def recorded(norm: nn.Module) -> NormStatistics:
    """Return what a recording batch norm saw in the last batch."""
    own = statistics_of(norm)
    return NormStatistics(own.mean.clone(), own.variance.clone())


def settled_by(estimate: NormEstimate, norm: nn.Module, batches: Sequence[NormStatistics]) -> NormStatistics:
    """Return what a proxy says of one batch norm, from its own statistics and those of the calibration batches.

    Raises:
        ContractError: It says it of other channels, or nothing.
    """
    own = statistics_of(norm)
    # A copy: candidates share the tensors of what was not cut.
    found = estimate(NormStatistics(own.mean.clone(), own.variance.clone()), batches)
    if not isinstance(found, NormStatistics) or found.mean.shape != own.mean.shape:
        said = f"{len(found.mean)}" if isinstance(found, NormStatistics) else type(found).__name__
        raise ContractError(f"proxy: expected the statistics of {len(own.mean)} channels, found {said}")
    return found


def check_variances(statistics: Mapping[str, NormStatistics]) -> None:
    """Refuse what a proxy said of the batch norms of a network if a variance is negative; what is NaN fails later.

    Raises:
        ContractError: It names the first of them.
    """
    # Looked at all together, because each look waits for the device.
    if statistics and bool((torch.cat([own.variance for own in statistics.values()]) < 0).any()):
        path = next(path for path, own in statistics.items() if bool((own.variance < 0).any()))
        raise ContractError(f"proxy: expected variances of 0 or more, found a negative one of batch norm {path!r}")


def with_statistics(network: nn.Module, statistics: Mapping[str, NormStatistics]) -> nn.Module:
    """Return a clone of `network` whose batch norms of these paths hold these statistics."""
    tensors = {}
    for path, own in statistics.items():
        # Cloned outside of inference mode: who fine-tunes the network needs ordinary tensors.
        tensors[f"{path}.running_mean"], tensors[f"{path}.running_var"] = own.mean.clone(), own.variance.clone()
    return with_tensors(network, tensors)


def estimated(
    network: nn.Module, batches: Sequence[torch.Tensor], estimate: NormEstimate, frozen: Set[str] = frozenset()
) -> nn.Module:
    """Return a clone of `network`, in eval mode like it, whose batch norms met `batches`; `network` stays as it is.

    Each calibration batch is normalised by itself on its way through; all other modules stay in eval mode, dropout
    included, and so do the batch norms of the `frozen` paths.

    Raises:
        ContractError: A batch has fewer than two images, or the proxy's statistics cannot be used.
    """
    norms = {path: norm for path, norm in estimating_norms(network).items() if path not in frozen}
    if not norms:
        return network
    check_batches(batches)
    walked = clone(network)
    recorders = {path: walked.get_submodule(path) for path in norms}
    for recorder in recorders.values():
        # The module stays the same object, so that every name the network has for it finds the recording one.
        recorder.__dict__.update(recording(recorder).__dict__)
    seen: dict[str, list[NormStatistics]] = {path: [] for path in norms}
    with torch.no_grad():
        for batch in batches:
            walked(batch)
            for path, recorder in recorders.items():
                seen[path].append(recorded(recorder))
    found = {path: settled_by(estimate, norm, seen[path]) for path, norm in norms.items()}
    check_variances(found)
    return with_statistics(network, found)
