"""A network without what is wrapped around it: its own layers, their weights stored as they are used."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm

from emoprune.errors import ConfigError

__all__ = ["folded", "unwrapped"]

WRAPPED = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
OLD_NORMS = {"WeightNorm": remove_weight_norm, "SpectralNorm": remove_spectral_norm}


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside of DataParallel or of what torch.compile returned.

    Raises:
        ConfigError: It is a scripted or traced network, whose layers cannot be made smaller.
    """
    while type(network).__name__ in WRAPPED:
        network = getattr(network, WRAPPED[type(network).__name__])
    scripted = next((path for path, each in network.named_modules() if isinstance(each, torch.jit.ScriptModule)), None)
    if scripted is not None:
        where = f"its module {scripted!r}" if scripted else "it"
        raise ConfigError(
            f"network: {where} is a ScriptModule, whose layers cannot be made smaller; return the network as it was "
            "before torch.jit.script or torch.jit.trace, and script what is exported"
        )
    return network


def folded(network: nn.Module) -> nn.Module:
    """Return the network with every weight stored that was computed from others: masks, weight and spectral norms."""
    for module, name in list(_masked(network)):
        prune.remove(module, name)  # type: ignore[no-untyped-call]  # torch ships no types for it
    for module, kind, name in list(_normed(network)):
        OLD_NORMS[kind](module, name)
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            for name in [name for name, _ in module.get_submodule("parametrizations").named_children()]:
                parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return network


def _masked(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Yield the modules with masks of torch.nn.utils.prune, and the name of what is masked."""
    for module in network.modules():
        for hook in list(module._forward_pre_hooks.values()):  # noqa: SLF001  # where torch itself looks for them
            if isinstance(hook, prune.BasePruningMethod):
                yield module, hook._tensor_name  # noqa: SLF001  # as above


def _normed(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield the modules with torch's older norms of weights, which norm it is, and of what."""
    for module in network.modules():
        for hook in list(module._forward_pre_hooks.values()):  # noqa: SLF001  # as above
            if type(hook).__name__ in OLD_NORMS:
                yield module, type(hook).__name__, str(vars(hook)["name"])
