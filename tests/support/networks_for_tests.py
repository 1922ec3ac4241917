"""Small networks and data with every kind of layer that pruning has to follow; importable by an import target."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emoprune.problems.networks.data.images import ImageData, LabelledImages

INPUT = (2, 6, 6)


def stripes() -> ImageData:
    """Noisy 2 x 6 x 6 images of three classes: a bright row, a bright column, neither; 64 + 48 + 32 + 40 images."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 184)
    images = rng.normal(size=(184, *INPUT)).astype(np.float32)
    images[labels == 0, :, 2, :] += 2.0
    images[labels == 1, :, :, 4] += 2.0
    ends = (0, 64, 112, 144, 184)
    parts = [LabelledImages(images[a:b], labels[a:b]) for a, b in pairwise(ends)]
    return ImageData(*parts)


def many_stripes() -> ImageData:
    """As many more of these images that every part is large enough for blocks, sorted by class."""
    few = stripes()
    rng = np.random.default_rng(4)

    def more(part: LabelledImages) -> LabelledImages:
        images = np.concatenate([part.images, part.images + rng.normal(size=part.images.shape).astype(np.float32)])
        labels = np.concatenate([part.labels, part.labels])
        order = np.argsort(labels, kind="stable")
        return LabelledImages(images[order], labels[order])

    return ImageData(few.train, more(few.search), more(few.select), more(few.test))


def network() -> nn.Sequential:
    """Return a nested network with biases and without, strides, a Flatten of several pixels, both batch norms."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        features = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 9, (3, 2), stride=2, bias=False),
            nn.GELU(),
            nn.BatchNorm2d(9, affine=False),
            nn.MaxPool2d(2, stride=1, padding=1),
        )
        head = [nn.Flatten(), nn.Linear(9 * 3 * 4, 7), nn.BatchNorm1d(7), nn.Sigmoid(), nn.Dropout(), nn.Linear(7, 3)]
        made = nn.Sequential(features, *head)
        for name, statistic in made.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(statistic, std=0.3)
            elif name.endswith("running_var"):
                nn.init.uniform_(statistic, 0.5, 2.0)
    return made


def three_outputs_too_few() -> nn.Sequential:
    """Return a network that cannot tell three classes apart."""
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.ReLU(), nn.Linear(4, 2))


def not_a_network() -> str:
    """Return what no option of a problem can use."""
    return "neither a network nor images"


def brighter() -> ImageData:
    made = stripes()
    test = LabelledImages(made.test.images + np.float32(0.5), made.test.labels)
    return ImageData(made.train, made.search, made.select, test)


def overflowing() -> ImageData:
    made = stripes()
    search, test = (
        LabelledImages(part.images.clip(-1, 1) * np.float32(3e38), part.labels) for part in (made.search, made.test)
    )
    return ImageData(made.train, search, made.select, test)


class TwoBlocks(nn.Module):
    """Its second block reads what its first puts out."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3))

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.first(images))


def two_blocks() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return TwoBlocks()


class Block(nn.Module):
    """Attention and a feed-forward layer, each beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.widen, self.narrow = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + functional.scaled_dot_product_attention(
            self.query(normed), self.key(normed), self.value(normed)
        )
        return tokens + self.narrow(functional.gelu(self.widen(self.norm2(tokens))))


class Encoder(nn.Module):
    """A small encoder over the pixels of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(2, 8, 2, 2)
        self.blocks = nn.Sequential(Block(8), Block(8), Block(8))
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.blocks(self.embed(images).flatten(2).transpose(1, 2)).mean(1))


def encoder() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Encoder()
