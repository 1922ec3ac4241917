"""A very small network for 32 x 32 grey images, on which every way to prune it can be tried and retrained."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["lenet5_mini"]


def lenet5_mini(classes: int = 10) -> nn.Sequential:
    """Return three convolutions of 10 channels, 5 x 5 without padding, and a hidden layer of 10, with fresh weights.

    Source: Is Oracle Pruning the True Oracle?, arXiv 2412.00143 (LeNet5-Mini on MNIST, padded to 32 x 32).
    """
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(1, 10, 5)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(10, 10, 5)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("conv3", nn.Conv2d(10, 10, 5)),
        ("relu3", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("hidden", nn.Linear(10, 10)),
        ("relu4", nn.ReLU()),
        ("classifier", nn.Linear(10, classes)),
    ]
    return nn.Sequential(OrderedDict(layers))
