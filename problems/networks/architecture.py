"""A sequential network as data: its layers, the shapes between them, and the way back to a network that runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError

__all__ = ["NORMALISED", "WEIGHTED", "Architecture", "Layer", "Tensors", "build", "trace"]

Option = int | float | bool | str | None | tuple[int | None, ...]
Shape = tuple[int, ...]
Tensors = Mapping[str, torch.Tensor]

WEIGHTED = frozenset({"Conv2d", "Linear"})
NORMALISED = frozenset({"BatchNorm1d", "BatchNorm2d"})

_WIDTHS = {
    "Conv2d": ("in_channels", "out_channels"),
    "Linear": ("in_features", "out_features"),
    "BatchNorm1d": ("num_features", "num_features"),
    "BatchNorm2d": ("num_features", "num_features"),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """One module: where it stands in the source network, its class in `torch.nn`, and that class's arguments."""

    path: str
    kind: str
    options: Mapping[str, Option]

    @property
    def widths(self) -> tuple[int, int]:
        """How many channels or features come in and go out; only for weighted and normalised layers."""
        incoming, outgoing = _WIDTHS[self.kind]
        return _whole(self.options[incoming]), _whole(self.options[outgoing])

    @property
    def kernel_area(self) -> int:
        """How many places of the input one output of a weighted layer sees; 1 for a linear layer."""
        kernel = self.options.get("kernel_size", 1)
        return math.prod(map(_whole, kernel if isinstance(kernel, tuple) else (kernel,)))

    def with_widths(self, incoming: int, outgoing: int) -> Layer:
        """Return this layer with other widths."""
        names = _WIDTHS[self.kind]
        return replace(self, options={**self.options, names[0]: incoming, names[1]: outgoing})

    def module(self) -> nn.Module:
        """Return a new module of this kind whose weights have a shape but no memory yet."""
        with torch.device("meta"):
            made: nn.Module = getattr(nn, self.kind)(**self.options)
        return made


def _whole(option: Option) -> int:
    if not isinstance(option, int):
        raise ContractError(f"a layer's width is a whole number, found {option!r}")
    return option


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network without its weights: layers in order, the shape of one input, and the shape each layer puts out."""

    layers: tuple[Layer, ...]
    input_shape: Shape
    shapes: tuple[Shape, ...]

    @property
    def weighted(self) -> tuple[int, ...]:
        """The positions of all convolutions and linear layers."""
        return tuple(i for i, layer in enumerate(self.layers) if layer.kind in WEIGHTED)

    @property
    def prunable(self) -> tuple[int, ...]:
        """The positions of the layers whose width may shrink: all weighted ones except the classifier at the end."""
        return self.weighted[:-1]

    @property
    def widths(self) -> tuple[int, ...]:
        """The prunable layers' widths."""
        return tuple(self.layers[i].widths[1] for i in self.prunable)

    @property
    def classes(self) -> int:
        """How many outputs the network has."""
        return self.shapes[-1][0]

    def shape_before(self, position: int) -> Shape:
        """Return the shape that reaches a layer, without the batch."""
        return self.shapes[position - 1] if position else self.input_shape

    def features_per_channel(self, position: int) -> int:
        """Return how many features a flattening layer makes of each channel that reaches it."""
        return math.prod(self.shape_before(position)[1:])


def build(layers: tuple[Layer, ...], tensors: Tensors) -> nn.Sequential:
    """Return a network that runs on `tensors` (named `<position>.<parameter>`, shared and not copied), in eval mode.

    Raises:
        ContractError: A tensor is missing, or its shape is not what the layer's widths say.
    """
    network = nn.Sequential(*(layer.module() for layer in layers))
    try:
        network.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise ContractError(f"the weights do not have the shapes the layers were decoded to: {error}") from error
    return network.requires_grad_(False).eval()


def trace(layers: tuple[Layer, ...], input_shape: Shape) -> Architecture:
    """Send one empty input of `input_shape` through the layers and check that the widths can be pruned.

    Raises:
        ConfigError: A layer does not fit the one before it, or its position makes pruning it unsafe.
    """
    flowing = torch.zeros((1, *input_shape))
    shapes = []
    with torch.no_grad():
        for layer in layers:
            flowing = _through(layer, flowing)
            shapes.append(tuple(flowing.shape[1:]))
    architecture = Architecture(layers, input_shape, tuple(shapes))
    _check(architecture)
    return architecture


def _through(layer: Layer, flowing: torch.Tensor) -> torch.Tensor:
    _check_rank(layer, flowing)
    try:
        # Empty weights are enough for shapes; the meta device would know them too, but imports half of torch first.
        module = layer.module().to_empty(device="cpu").eval()
        out: torch.Tensor = module(flowing)
    except (RuntimeError, ValueError, IndexError) as error:
        shape = tuple(flowing.shape[1:])
        raise ConfigError(
            f"network: layer {layer.path!r} ({layer.kind}) cannot take an input {shape}: {error}"
        ) from error
    return out


def _check_rank(layer: Layer, flowing: torch.Tensor) -> None:
    """Refuse what torch would take for something else: images without a batch, a linear layer along the last axis."""
    rank = flowing.ndim - 1
    wanted = {"Linear": 1, "BatchNorm1d": 1, "Conv2d": 3, "BatchNorm2d": 3}.get(layer.kind, rank)
    if rank != wanted:
        raise ConfigError(
            f"network: layer {layer.path!r} ({layer.kind}) expects an input of {wanted} dimensions beside the batch, "
            f"found {rank}: {tuple(flowing.shape[1:])}; put an nn.Flatten in between"
        )


def _check(architecture: Architecture) -> None:
    if len(architecture.weighted) < 2:
        raise ConfigError(
            f"network: expected at least two convolutions or linear layers, found {len(architecture.weighted)}; "
            "the last one is the classifier and is never pruned"
        )
    first = architecture.weighted[0]
    for layer in architecture.layers[:first]:
        if layer.kind in NORMALISED:
            raise ConfigError(f"network: {layer.kind} {layer.path!r} has no convolution or linear layer before it")
    if len(architecture.shapes[-1]) != 1:
        raise ConfigError(
            f"network: expected one output per class, found outputs of shape {architecture.shapes[-1]}; "
            "end with an nn.Flatten or a linear layer"
        )
