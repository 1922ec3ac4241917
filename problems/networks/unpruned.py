"""The unpruned network: which one, with which weights, made once and kept in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.reading import Weights, check_faithful, weights_of
from emoprune.problems.networks.sources import is_built_in, network_named
from emoprune.problems.networks.training import one_thread, seeded, train
from emoprune.problems.networks.weights import load_into, load_weights, save_weights, weights_origin

__all__ = ["Recipe", "unpruned_weights"]

EPOCHS_OF_BUILT_IN = 30
COMPARED_IMAGES = 32


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the unpruned network comes about: a network, weights from a file or its own, epochs of training on top."""

    network: str
    data: str
    weights: str | None
    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ConfigError(f"epochs: expected 0 or more, found {self.epochs}")

    @classmethod
    def of(cls, network: str, data: str, weights: str | None, epochs: int | None) -> Recipe:
        """Return a recipe; without `epochs` only a built-in network without given weights is trained."""
        untrained = is_built_in(network) and weights is None
        by_default = EPOCHS_OF_BUILT_IN if untrained else 0
        return cls(network, data, weights, by_default if epochs is None else epochs)

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


def unpruned_weights(folder: Path, recipe: Recipe, data: ImageData, seed: int) -> Weights:
    """Return the unpruned network's weights, from `folder/weights.safetensors` or made and written there.

    Raises:
        ConfigError: The file is there but was made by another recipe, or the recipe does not work.
    """
    path = folder / "weights.safetensors"
    origin = recipe.origin(seed)
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(path, _made(recipe, data, seed), origin)
    weights, found = load_weights(path), weights_origin(path)
    if found != origin:
        raise ConfigError(f"{path.name} was made from {found}, expected {origin}; remove it and it is made again")
    return weights


def _made(recipe: Recipe, data: ImageData, seed: int) -> Weights:
    with seeded(seed), one_thread():
        network = network_named(recipe.network)
        if recipe.weights is not None:
            load_into(network, Path(recipe.weights))
        train(network, data.train, recipe.epochs, seed)
        _check(network, data)
    return weights_of(network)


def _check(network: nn.Module, data: ImageData) -> None:
    network.eval()
    check_faithful(network, data.train.images[:COMPARED_IMAGES])
