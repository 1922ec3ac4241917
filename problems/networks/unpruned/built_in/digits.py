"""The network for digits: four convolutions and a hidden layer, for small grey images."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["digits_network"]


def digits_network() -> nn.Sequential:
    """Return the network for 8 x 8 scans of digits, with fresh weights."""
    layers: list[tuple[str, nn.Module]] = [
        *_convolution(1, 1, 32),
        *_convolution(2, 32, 32),
        ("pool2", nn.MaxPool2d(2)),
        *_convolution(3, 32, 64),
        *_convolution(4, 64, 64),
        ("pool4", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("hidden", nn.Linear(64, 64)),
        ("relu", nn.ReLU()),
        ("classifier", nn.Linear(64, 10)),
    ]
    return nn.Sequential(OrderedDict(layers))


def _convolution(number: int, incoming: int, outgoing: int) -> list[tuple[str, nn.Module]]:
    return [
        (f"conv{number}", nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False)),
        (f"norm{number}", nn.BatchNorm2d(outgoing)),
        (f"relu{number}", nn.ReLU()),
        # Whole channels are dropped in training, so that no channel relies on a few others alone.
        (f"dropout{number}", nn.Dropout2d(0.2)),
    ]
