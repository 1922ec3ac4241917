"""A network so small that it is measured in no time, on which methods are tried; it has learnt nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

from torch import nn

from emoprune import plugins
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.given import at_most
from emoprune.problems.networks.data.images import ImageData

__all__ = ["SAMPLE", "beside", "few_digits", "tiny"]

SAMPLE: Mapping[str, Any] = MappingProxyType(
    {"network": f"{__name__}:tiny", "data": f"{__name__}:few_digits", "calibration_images": 16}
)
IMAGES = 48  # of each part of the data


def tiny() -> nn.Module:
    """Return three convolutions and a linear layer for 8 x 8 scans of digits, with weights as they are drawn."""
    return nn.Sequential(
        OrderedDict(
            first=_convolution(1, 6),
            pool=nn.MaxPool2d(2),
            second=_convolution(6, 8),
            third=_convolution(8, 8),
            mean=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            classifier=nn.Linear(8, 10),
        )
    )


@cache
def few_digits() -> ImageData:
    """Return a few of the digits in four parts, read once."""
    return at_most(digits(), IMAGES)


def _convolution(incoming: int, outgoing: int) -> nn.Sequential:
    layers = nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False), nn.BatchNorm2d(outgoing), nn.ReLU()
    return nn.Sequential(*layers)


def beside(objectives: Sequence[str | Mapping[str, Any]]) -> list[str | Mapping[str, Any]]:
    """Return objectives with the error and the multiply-accumulates beside them, unless they are there."""
    names = [plugins.named("objectives", own)[0] for own in objectives]
    return [*objectives, *(name for name in ("error", "macs") if name not in names)]
