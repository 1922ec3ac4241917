"""A network's weights as arrays, if all of them can be pruned and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from emoprune.errors import ConfigError
from emoprune.problems.storage.arrays import Weights

__all__ = ["weights_of"]

_SUFFIXES = ("_orig", "_g", "_v")  # of what torch's older parametrisations keep in a weight's place


def weights_of(network: nn.Module, whole: Callable[[str], bool] = lambda _: False) -> Weights:
    """Return copies of all parameters and buffers by their names in the network's state_dict, in their own types.

    Args:
        network: Whose.
        whole: Which layers stay whole, by path; these alone may share a weight.

    Raises:
        ConfigError: Two names of other layers share one storage, a weight is computed from others (a parametrisation),
            not made yet, not finite, or a float of other than 32 bits.
    """
    _check_plain(network)
    state = network.state_dict()
    for name, value in state.items():
        _check_tensor(name, value)
    _check_untied(state, whole)
    return {name: _array(name, tensor) for name, tensor in state.items()}


def _check_plain(network: nn.Module) -> None:
    for path, module in network.named_modules():
        computed = _computed(module)
        if computed:
            where = f"module {path!r} ({type(module).__name__})" if path else type(module).__name__
            raise ConfigError(
                f"network: {where}: its {computed!r} is computed from other tensors (a parametrisation or a "
                "pruning mask), which cannot be sliced; call torch.nn.utils.parametrize.remove_parametrizations, "
                "remove_weight_norm, remove_spectral_norm or prune.remove first"
            )


def _computed(module: nn.Module) -> str | None:
    """Return the name of a weight that is computed from others each time the module runs, if there is one."""
    if is_parametrized(module):
        return next(name for name, _ in module.get_submodule("parametrizations").named_children())
    names = [name for name, _ in module.named_parameters(recurse=False)]
    made = [name.removesuffix(end) for name in names for end in _SUFFIXES if name.endswith(end)]
    # torch.nn.utils.weight_norm and prune leave a plain tensor where the weight was.
    return next((name for name in made if isinstance(vars(module).get(name), torch.Tensor)), None)


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, torch.Tensor):
        raise ConfigError(f"network: {name!r} in its state_dict is a {type(value).__name__}; expected tensors only")
    if is_lazy(value) or value.is_meta:
        raise ConfigError(f"network: {name!r} has no memory yet; run the network once on an image before returning it")
    if value.layout != torch.strided or value.is_quantized:
        raise ConfigError(f"network: {name!r} is sparse or quantised; expected dense tensors: convert it back first")
    if (value.is_floating_point() or value.is_complex()) and value.dtype != torch.float32:
        raise ConfigError(f"network: {name!r}: expected 32-bit floats, found {value.dtype}; call network.float() first")


def _check_untied(state: Mapping[str, torch.Tensor], whole: Callable[[str], bool]) -> None:
    """Refuse two names for one storage: pruning one layer would silently cut the other."""
    owners: dict[tuple[torch.device, int], str] = {}
    for name, tensor in state.items():
        if tensor.numel() == 0:
            continue
        owner = owners.setdefault((tensor.device, tensor.untyped_storage().data_ptr()), name)
        if owner != name and not all(whole(each.rpartition(".")[0]) for each in (owner, name)):
            raise ConfigError(
                f"network: {owner!r} and {name!r} share one weight, so neither can be pruned alone; give each its "
                "own, for example with copy.deepcopy, or leave both layers whole with `ignore`"
            )


def _array(name: str, tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().numpy().copy(order="C")
    if not np.isfinite(array).all():
        raise ConfigError(f"network: {name!r} holds NaN or infinities; train or load it again")
    return array
