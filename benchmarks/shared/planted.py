"""Networks in which a narrow one is planted: what has to stay is known."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.data.images import ImageData, LabelledImages

__all__ = ["TICKET", "data", "network", "ticket_units"]

INPUTS, TICKET, CLASSES = 16, 8, 6  # the ticket has so many units in each of two layers
IMAGES = (512, 256, 256, 256)


def network(width: int, noise: float, seed: int) -> nn.Module:
    """Return a random network of two hidden layers around a ticket, whose other units are read by `noise`.

    Args:
        width: Of each hidden layer.
        noise: The size of the weights that read what is not the ticket, in shares of those that read the ticket.
        seed: Draws ticket, places and all else.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        ticket = [
            torch.randn(shape) * (2 / shape[1]) ** 0.5
            for shape in ((TICKET, INPUTS), (TICKET, TICKET), (CLASSES, TICKET))
        ]
        probe = torch.relu(torch.relu(torch.randn(1000, INPUTS) @ ticket[0].T) @ ticket[1].T) @ ticket[2].T
        first, last = nn.Linear(INPUTS, width), nn.Linear(width, CLASSES)
        made = nn.Sequential(nn.Flatten(), first, nn.ReLU(), nn.Linear(width, width), nn.ReLU(), last)
        layers: list[Any] = [made[1], made[3], made[5]]
        places = [*map(torch.from_numpy, ticket_units(width, seed))]
        rows, columns = [places[0], places[1], torch.arange(CLASSES)], [torch.arange(INPUTS), places[0], places[1]]
        for layer, own, row, column in zip(layers, ticket, rows, columns, strict=True):
            layer.weight.normal_(std=(2 / layer.weight.shape[1]) ** 0.5)
            layer.bias.zero_()
            layer.weight[row] *= noise
            layer.weight[row[:, None], column] = own
        last.bias.copy_(-probe.mean(dim=0))  # so that no class is everybody's
    return made


def ticket_units(width: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the ticket's units in each hidden layer, rising."""
    rng = np.random.default_rng([seed, width])
    first, second = (np.sort(rng.permutation(width)[:TICKET]) for _ in range(2))
    return first, second


@cache
def data(seed: int) -> ImageData:
    """Return images of noise with the classes that the planted network without noise gives them."""
    rng, parts = np.random.default_rng(seed), []
    for count in IMAGES:
        images = rng.normal(size=(count, 1, 4, 4)).astype(np.float32)
        with torch.no_grad():
            labels = network(2 * TICKET, 0.0, seed)(torch.from_numpy(images)).argmax(dim=1).numpy()
        parts.append(LabelledImages(images, labels))
    return ImageData(*parts)


def __getattr__(name: str) -> Any:
    """Return what a config can name: `network_50_1` is of width 50, noise 0.01 and seed 1, `data_1` its data."""
    kind, *numbers = name.split("_")
    if kind == "network" and len(numbers) == 2:
        return partial(network, int(numbers[0]), 0.01, int(numbers[1]))
    if kind == "data" and len(numbers) == 1:
        return partial(data, int(numbers[0]))
    raise AttributeError(name)
