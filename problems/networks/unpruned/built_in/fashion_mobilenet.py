"""A network of inverted residuals with depthwise convolutions for 28 x 28 grey images."""

from __future__ import annotations

import torch
from torch import nn

from emoprune.problems.networks.unpruned.built_in.layers import convolution

__all__ = ["FashionMobilenet", "InvertedResidual", "fashion_mobilenet"]

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 1), (64, 2, 2))  # width, blocks, stride of the first block
_EXPANSION = 4
_LAST = 128


class InvertedResidual(nn.Module):
    """Widen by a 1 x 1 convolution, filter each channel by itself, narrow again; a shortcut where nothing changes."""

    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        inner = _EXPANSION * incoming
        self.expand = nn.Sequential(*convolution(incoming, inner, nn.ReLU6(), kernel=1))
        self.depthwise = nn.Sequential(*convolution(inner, inner, nn.ReLU6(), stride=stride, groups=inner))
        self.project = nn.Sequential(*convolution(inner, outgoing, None, kernel=1))
        self.is_residual = stride == 1 and incoming == outgoing

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take features of shape (n, incoming, h, w)."""
        out: torch.Tensor = self.project(self.depthwise(self.expand(images)))
        return images + out if self.is_residual else out


class FashionMobilenet(nn.Module):
    """Seven inverted residuals, 16 to 64 wide, between a first convolution with stride 2 and a last one of 1 x 1.

    After Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv 1801.04381.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        incoming = _STAGES[0][0]
        self.first = nn.Sequential(*convolution(1, incoming, nn.ReLU6(), stride=2))
        blocks = []
        for outgoing, count, stride in _STAGES:
            for number in range(count):
                blocks.append(InvertedResidual(incoming, outgoing, stride if number == 0 else 1))
                incoming = outgoing
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Sequential(*convolution(incoming, _LAST, nn.ReLU6(), kernel=1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(_LAST, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take images of shape (n, 1, 28, 28), return outputs of shape (n, classes)."""
        features = self.last(self.blocks(self.first(images)))
        out: torch.Tensor = self.classifier(torch.flatten(self.pool(features), 1))
        return out


def fashion_mobilenet() -> FashionMobilenet:
    """Return the network with fresh weights."""
    return FashionMobilenet()
