"""A residual network for 28 x 28 grey images."""

from __future__ import annotations

import torch
from torch import nn

from emoprune.problems.networks.unpruned.built_in.layers import convolution

__all__ = ["FashionResnet", "ResidualBlock", "fashion_resnet"]

_STAGES = ((16, 1), (32, 2), (64, 2))  # width, stride of the stage's first block
_BLOCKS = 3


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, which is a convolution of its own where width or size change."""

    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1, self.relu1 = convolution(incoming, outgoing, nn.ReLU(), stride=stride)
        self.conv2, self.norm2 = convolution(outgoing, outgoing, None)
        changed = stride != 1 or incoming != outgoing
        projection = convolution(incoming, outgoing, None, kernel=1, stride=stride)
        self.shortcut = nn.Sequential(*projection) if changed else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take features of shape (n, incoming, h, w)."""
        inner = self.relu1(self.norm1(self.conv1(images)))
        out: torch.Tensor = self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(images))
        return out


class FashionResnet(nn.Module):
    """Twenty layers in three stages of three residual blocks, 16 to 64 wide, after a first convolution with stride 2.

    After He et al., Deep Residual Learning for Image Recognition, arXiv 1512.03385, with projection shortcuts.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        incoming = _STAGES[0][0]
        self.conv, self.norm, self.relu = convolution(1, incoming, nn.ReLU(), stride=2)
        blocks = []
        for outgoing, stride in _STAGES:
            for number in range(_BLOCKS):
                blocks.append(ResidualBlock(incoming, outgoing, stride if number == 0 else 1))
                incoming = outgoing
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(incoming, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Take images of shape (n, 1, 28, 28), return outputs of shape (n, classes)."""
        features = self.blocks(self.relu(self.norm(self.conv(images))))
        out: torch.Tensor = self.classifier(torch.flatten(self.pool(features), 1))
        return out


def fashion_resnet() -> FashionResnet:
    """Return the network with fresh weights."""
    return FashionResnet()
