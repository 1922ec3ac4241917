"""The unpruned network: which one, with which weights, made once and kept in a folder."""

from __future__ import annotations

import fnmatch
import hashlib
import logging
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.unpruned.built_in.catalogue import NETWORKS
from emoprune.problems.networks.unpruned.by_name import network_named
from emoprune.problems.networks.unpruned.checkpoints import load_into
from emoprune.problems.networks.unpruned.kept_weights import kept_or_made
from emoprune.problems.networks.unpruned.plain import folded
from emoprune.problems.networks.unpruned.training import Schedule, train
from emoprune.problems.networks.unpruned.weights import weights_of
from emoprune.problems.storage.arrays import Weights, load_weights, save_weights, weights_origin
from emoprune.problems.storage.located import located

__all__ = ["Recipe", "check_recipe", "unpruned_weights"]

TRIED_IMAGES = 32

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the unpruned network comes about: a network, weights from a file or its own, epochs of training on top.

    `ignore` are patterns of layers that stay whole: these alone may share a weight.
    """

    network: str
    data: str
    weights: str | None
    epochs: int
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs: expected 0 or more, found {self.epochs}")

    @classmethod
    def of(
        cls, network: str, data: str, weights: str | None, epochs: int | None, ignore: tuple[str, ...] = ()
    ) -> Recipe:
        """Return a recipe; without `epochs` only a built-in network without given weights is trained."""
        untrained = network in NETWORKS and weights is None
        by_default = NETWORKS[network].schedule.epochs if untrained else 0
        return cls(network, data, weights, by_default if epochs is None else epochs, ignore)

    def whole(self, path: str) -> bool:
        """Whether the layer of that path stays whole."""
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self.ignore)

    @property
    def schedule(self) -> Schedule:
        """How it is trained: a built-in network by its own schedule, but for the number of epochs."""
        built_in = NETWORKS.get(self.network)
        return replace(built_in.schedule, epochs=self.epochs) if built_in else Schedule(self.epochs)

    @property
    def is_kept(self) -> bool:
        """Whether the weights depend on nothing but emoprune and the data, and took time to make."""
        return self.network in NETWORKS and self.weights is None and self.epochs > 0

    def origin(self, seed: int) -> dict[str, str]:
        """Return what is written beside the weights, so that those of another recipe are not taken for these."""
        weights = Path(self.weights).name if self.weights else "none"
        return {
            "network": self.network,
            "data": self.data,
            "weights": weights,
            "epochs": str(self.epochs),
            "seed": str(seed),
        }


def check_recipe(recipe: Recipe, data: ImageData) -> None:
    """Find out whether the network, the given weights and the data fit, without training anything.

    Raises:
        ConfigError: They do not.
    """
    with seeded(0), one_thread():
        network = _untrained(recipe, data)
        if not recipe.epochs:
            _check_finite(network, data)


def unpruned_weights(folder: Path, recipe: Recipe, data: ImageData, seed: int) -> Weights:
    """Return the unpruned network's weights, from `folder/weights.safetensors` or made and written there.

    Trained weights of a built-in network are made once per user and taken from the cache folder after that.

    Raises:
        ConfigError: The file is there but was made by another recipe, or the recipe does not work.
    """
    path = folder / "weights.safetensors"
    origin = recipe.origin(seed)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(path, _kept_or_made(recipe, data, seed), origin)
    weights, found = load_weights(path), weights_origin(path)
    if found != origin:
        raise ConfigError(f"{path.name} was made from {found}, expected {origin}; remove it and it is made again")
    return weights


def _kept_or_made(recipe: Recipe, data: ImageData, seed: int) -> Weights:
    if not recipe.is_kept:
        return _made(recipe, data, seed)
    origin = recipe.origin(seed) | {"digest": _digest(recipe, data)}
    return kept_or_made(origin, lambda: _made(recipe, data, seed))


def _digest(recipe: Recipe, data: ImageData) -> str:
    """Return a digest of what the names do not say: the layers, how they are trained, on what, by which torch."""
    with seeded(0):
        network = network_named(recipe.network)
    shapes = [(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items()]
    parts = (repr(network), shapes, astuple(recipe.schedule), torch.__version__, data.digest().hex())
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _made(recipe: Recipe, data: ImageData, seed: int) -> Weights:
    with seeded(seed), one_thread():
        network = _untrained(recipe, data)
        if recipe.epochs:
            _log.info("training %s on %d images of %s", recipe.network, len(data.train), recipe.data)
            train(network, data.train, recipe.schedule, seed)
        _check_finite(network, data)
    return weights_of(network, recipe.whole)


def _untrained(recipe: Recipe, data: ImageData) -> nn.Module:
    """Return the network with the given weights, tried; what cannot be kept is refused before minutes of training."""
    network = network_named(recipe.network)
    if recipe.weights is not None:
        network = _with_weights(network, recipe.network, located(recipe.weights) or Path(recipe.weights))
    weights_of(network, recipe.whole)
    _tried(network, data)
    return network


def _with_weights(network: nn.Module, name: str, path: Path) -> nn.Module:
    """Return the network with a checkpoint's weights: its own, or those that it was parametrised by."""
    as_made = network_named(name, fold=False)
    if as_made.state_dict().keys() != network.state_dict().keys():
        try:
            load_into(as_made, path)
        except ConfigError:
            load_into(network, path)
            return network
        return folded(as_made)
    load_into(network, path)
    return network


def _check_finite(network: nn.Module, data: ImageData) -> None:
    if not torch.isfinite(_tried(network, data)).all():
        raise ConfigError("network: its outputs on training images are not finite; train it or load its weights again")


def _tried(network: nn.Module, data: ImageData) -> torch.Tensor:
    """Return the network's outputs for a few training images, in eval mode.

    Raises:
        ConfigError: It cannot take them, or its outputs are not one number per class.
    """
    images = torch.from_numpy(data.train.images[:TRIED_IMAGES].copy())
    network.eval()
    try:
        with torch.no_grad():
            outputs = network(images)
    except Exception as error:  # a stranger's forward may raise anything; its own error is the cause
        raise ConfigError(
            f"network: it cannot take {len(images)} images of shape {data.input_shape}: {type(error).__name__}: "
            f"{error}; give images of the shape it expects, or a network for these"
        ) from error
    if not isinstance(outputs, torch.Tensor) or outputs.ndim != 2 or len(outputs) != len(images):
        found = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ConfigError(
            f"network: expected outputs of shape ({len(images)}, classes) for {len(images)} images, found {found}; "
            "end with an nn.Flatten or a linear layer"
        )
    if data.highest_label >= outputs.shape[1]:
        raise ConfigError(
            f"network: expected at least {data.highest_label + 1} outputs, one per label, found {outputs.shape[1]}; "
            "count the classes of the data from 0 without gaps, or give a network with more outputs"
        )
    return outputs
