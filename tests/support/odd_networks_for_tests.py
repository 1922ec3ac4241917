"""Small networks with what is hard to follow, for one grey image of 12 x 12."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

IMAGES = (1, 12, 12)
CLASSES = 5


class Plain(nn.Conv2d):
    """A convolution under another name."""


class Same(nn.Conv2d):
    """A convolution that pads by itself."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(images, (1, 1, 1, 1)), self.weight, self.bias)


class Standardised(nn.Conv2d):
    """A convolution whose every filter depends on all its weights: fewer inputs are another function."""

    def forward(self, images: Tensor) -> Tensor:
        spread, mean = torch.std_mean(self.weight, (1, 2, 3), keepdim=True)
        return functional.conv2d(images, (self.weight - mean) / spread, self.bias, padding=1)


class ChannelsFirst(nn.LayerNorm):
    """A normalisation over the channels of images, as ConvNeXt has it."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Activated(nn.BatchNorm2d):
    """A batch norm with its activation inside."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.act(super().forward(images))


class Mixing(nn.Module):
    """A layer of its own kind, with weights between channels that no library knows."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.randn(incoming, outgoing) / incoming)

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("nchw,cd->ndhw", images, self.mix)


class Chain(nn.Module):
    """Three convolutions and a head, the first of any kind, with something between the first two."""

    def __init__(self, first: nn.Module, between: nn.Module, outgoing: int = 8) -> None:
        super().__init__()
        self.first, self.between = first, between
        self.second = nn.Conv2d(outgoing, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 6, 3, padding=1)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = functional.relu(self.between(self.first(images)))
        values = functional.relu(self.third(functional.relu(self.second(values))))
        return self.head(values.mean((2, 3)))


class ConvNeXt(nn.Module):
    """Depthwise, normalised over channels in two ways, widened, scaled and added."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 2, 2)
        self.norm = ChannelsFirst(8, eps=1e-2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.inner = nn.LayerNorm(8, eps=1e-2)
        self.wide, self.narrow = nn.Linear(8, 12), nn.Linear(12, 8)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.7))
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = self.norm(self.stem(images))
        inner = self.inner(self.depthwise(values).permute(0, 2, 3, 1))
        wide = self.narrow(functional.gelu(self.wide(inner))).permute(0, 3, 1, 2)
        return self.head((values + self.scale * wide).mean((2, 3)))


class Chunked(nn.Module):
    """Half of the channels go on, the other half is added to and joined again, as in C2f."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.last, self.head = nn.Conv2d(16, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        halves = list(functional.relu(self.first(images)).chunk(2, 1))
        halves[1] = self.inner(halves[1]) + halves[1]
        return self.head(functional.relu(self.last(torch.cat(halves, 1))).mean((2, 3)))


class Positions(nn.Module):
    """A learned map that is added to every image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.place = nn.Conv2d(1, 8, 4, 4), nn.Parameter(torch.randn(1, 8, 3, 3))
        self.second, self.head = nn.Conv2d(8, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = functional.relu(self.first(images) + self.place)
        return self.head(functional.relu(self.second(values)).mean((2, 3)))


class Attention(nn.Module):
    """Queries, keys and values from one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.joint = nn.Conv2d(1, 8, 4, 4), nn.Conv2d(8, 24, 1)
        self.out, self.after, self.head = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 6, 1), nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = self.stem(images)
        query, key, value = self.joint(values).flatten(2).transpose(1, 2).chunk(3, -1)
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).unflatten(2, (3, 3))
        return self.head(functional.relu(self.after(values + self.out(mixed))).mean((2, 3)))


class Shuffled(nn.Module):
    """Channels become places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(4, 6, 3)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        larger = functional.pixel_shuffle(functional.relu(self.first(images)), 2)
        return self.head(functional.relu(self.second(larger)).mean((2, 3)))


class Halved(nn.Module):
    """A shortcut that leaves out pixels and adds channels of zeros, as the residual networks for CIFAR have it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, 2, 1)
        self.third, self.head = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = functional.relu(self.first(images))
        added = functional.pad(values[:, :, ::2, ::2], (0, 0, 0, 0, 4, 4))
        return self.head(functional.relu(self.third(functional.relu(self.second(values))) + added).mean((2, 3)))


class Repeated(nn.Module):
    """One convolution that runs twice, and two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.wide, self.narrow = nn.Conv2d(8, 6, 1), nn.Conv2d(6, 6, 1)
        self.tied = nn.Conv2d(6, 6, 1)
        self.tied.weight = self.narrow.weight
        self.last, self.head = nn.Conv2d(6, 7, 1), nn.Linear(7, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        values = functional.relu(self.again(functional.relu(self.again(self.first(images)))))
        values = functional.relu(self.tied(functional.relu(self.narrow(functional.relu(self.wide(values))))))
        return self.head(functional.relu(self.last(values)).mean((2, 3)))


def shuffle_net() -> nn.Module:
    """Return a network whose channels are shuffled by reshaping them in steps that the library cannot follow."""
    from torch import nn

    class Unit(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            half = channels // 2
            self.branch = nn.Sequential(nn.Conv2d(half, half, 1), nn.BatchNorm2d(half), nn.ReLU())

        def forward(self, values: Tensor) -> Tensor:
            one, other = values.chunk(2, dim=1)
            joined = torch.cat((one, self.branch(other)), dim=1)
            count, channels, height, width = joined.size()
            mixed = joined.view(count, 2, channels // 2, height, width).transpose(1, 2).contiguous()
            return mixed.view(count, channels, height, width)

    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), Unit(8), Unit(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES)
    )
