"""From a torch module to layers and weights; everything that cannot be pruned safely is refused by its path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.architecture import Layer, Option, build

__all__ = ["Weights", "check_faithful", "layers_of", "weights_of"]

Weights = Mapping[str, NDArray[np.float32]]

# The modules whose channels pass through one by one, and the constructor arguments that say what they compute.
_SUPPORTED: Mapping[type[nn.Module], tuple[str, ...]] = MappingProxyType(
    {
        nn.Conv2d: ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode"),
        nn.Linear: ("in_features", "out_features"),
        nn.BatchNorm1d: ("num_features", "eps", "affine"),
        nn.BatchNorm2d: ("num_features", "eps", "affine"),
        nn.ReLU: (),
        nn.ReLU6: (),
        nn.LeakyReLU: ("negative_slope",),
        nn.ELU: ("alpha",),
        nn.GELU: ("approximate",),
        nn.SiLU: (),
        nn.Hardswish: (),
        nn.Hardtanh: ("min_val", "max_val"),
        nn.Tanh: (),
        nn.Sigmoid: (),
        nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
        nn.AvgPool2d: ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
        nn.AdaptiveAvgPool2d: ("output_size",),
        nn.AdaptiveMaxPool2d: ("output_size",),
        nn.Flatten: ("start_dim", "end_dim"),
        nn.Dropout: ("p",),
        nn.Dropout2d: ("p",),
        nn.Identity: (),
    }
)
_STATE = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


def layers_of(network: nn.Module) -> tuple[Layer, ...]:
    """Return the layers of an `nn.Sequential`, nested ones laid flat.

    Raises:
        ConfigError: The network, or the module named by its path, is not of a kind that can be pruned safely.
    """
    _check_container("", network)
    _check_untied(network)
    return tuple(_layer(path, module) for path, module in _leaves(network))


def weights_of(network: nn.Module) -> Weights:
    """Return the network's weights and running statistics as arrays, named `<position>.<parameter>`.

    Raises:
        ConfigError: A weight is not a 32-bit float, or not finite.
    """
    weights = {}
    for position, (path, module) in enumerate(_leaves(network)):
        for name, tensor in module.state_dict().items():
            if name != "num_batches_tracked":
                weights[f"{position}.{name}"] = _array(f"{path}.{name}", tensor)
    return weights


def check_faithful(network: nn.Module, images: NDArray[np.float32]) -> None:
    """Compare the network with one rebuilt from its layers and weights alone.

    Raises:
        ConfigError: They differ (the network does something its layers do not say), or the outputs are not finite.
    """
    network.eval()
    tensors = {name: torch.from_numpy(array) for name, array in weights_of(network).items()}
    rebuilt = build(layers_of(network), tensors)
    with torch.no_grad():
        expected, found = network(torch.tensor(images)), rebuilt(torch.tensor(images))
    if not torch.isfinite(found).all():
        raise ConfigError("network: its outputs on training images are not finite; train it or load its weights again")
    difference = (expected - found).abs().max().item()
    if not difference <= 1e-5:  # the same kernels run on the same numbers; NaN must fail as well
        raise ConfigError(
            f"network: rebuilt from its layers it gives other outputs, by up to {difference}; expected none: remove "
            "forward hooks and whatever else acts outside the layers"
        )


def _leaves(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """List the modules that compute something, a module that stands in two places twice."""
    found = []
    for path, module in network.named_modules(remove_duplicate=False):
        if not isinstance(module, nn.Sequential):
            found.append((path, module))
    return found


def _check_container(path: str, module: nn.Module) -> None:
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for name, child in module.named_children():
            if not _is_leaf(child):
                _check_container(f"{path}.{name}" if path else name, child)
    else:
        place = f"module {path!r} is a" if path else "it is a"
        raise ConfigError(
            f"network: expected an nn.Sequential of {', '.join(kind.__name__ for kind in _SUPPORTED)}, but {place} "
            f"{type(module).__name__}, which may mix channels; replace it or write a problem of your own"
        )


def _is_leaf(module: nn.Module) -> bool:
    # A subclass may compute anything, so only the class itself will do.
    return type(module) in _SUPPORTED


def _check_untied(network: nn.Module) -> None:
    owners: dict[int, str] = {}
    for path, parameter in network.named_parameters(remove_duplicate=False):
        owner = owners.setdefault(id(parameter), path)
        if owner != path:
            raise ConfigError(f"network: {owner!r} and {path!r} share one weight; give each layer its own")


def _layer(path: str, module: nn.Module) -> Layer:
    _check_variant(path, module)
    names = _SUPPORTED[type(module)]
    options: dict[str, Option] = {name: getattr(module, name) for name in names}
    if isinstance(module, nn.Conv2d | nn.Linear):
        options["bias"] = module.bias is not None
    return Layer(path, type(module).__name__, options)


def _check_variant(path: str, module: nn.Module) -> None:
    """Refuse the variants of a supported module whose channels are not independent, or depend on the batch."""
    wrong = None
    if isinstance(module, nn.Conv2d) and module.groups != 1:
        wrong = f"groups=1, found groups={module.groups}: grouped channels can only be pruned together"
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and not module.track_running_stats:
        wrong = "track_running_stats=True: without them an image's result depends on its batch"
    elif isinstance(module, nn.MaxPool2d) and module.return_indices:
        wrong = "return_indices=False"
    elif isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
        wrong = f"start_dim=1 and end_dim=-1, found {module.start_dim} and {module.end_dim}"
    elif set(module.state_dict()) - _STATE:
        wrong = f"plain weights, found {sorted(set(module.state_dict()) - _STATE)}: remove the parametrisation first"
    if wrong:
        raise ConfigError(f"network: module {path!r} ({type(module).__name__}): expected {wrong}")


def _array(name: str, tensor: torch.Tensor) -> NDArray[np.float32]:
    if tensor.dtype != torch.float32:
        raise ConfigError(
            f"network: {name!r}: expected 32-bit floats, found {tensor.dtype}; call network.float() first"
        )
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().copy()
    if not np.isfinite(array).all():
        raise ConfigError(f"network: {name!r} holds NaN or infinities; train or load it again")
    return array
