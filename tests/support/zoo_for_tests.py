"""Small networks with every kind of coupling that pruning has to follow, for one grey image of 28 x 28."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.records import Split

IMAGES = (1, 28, 28)
CLASSES = 10


def conv_block(incoming: int, outgoing: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outgoing), nn.ReLU())


def vgg() -> nn.Module:
    """Plain: convolutions, pooling, a flatten of several pixels, two linear layers."""
    return nn.Sequential(
        conv_block(1, 8),
        nn.MaxPool2d(2),
        conv_block(8, 12),
        nn.MaxPool2d(2),
        conv_block(12, 12, stride=2),
        nn.Flatten(),
        nn.Linear(12 * 4 * 4, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, CLASSES),
    )


class Basic(nn.Module):
    def __init__(self, incoming: int, outgoing: int, stride: int) -> None:
        super().__init__()
        self.first = conv_block(incoming, outgoing, stride=stride)
        self.second = nn.Sequential(nn.Conv2d(outgoing, outgoing, 3, 1, 1, bias=False), nn.BatchNorm2d(outgoing))
        projected = nn.Sequential(nn.Conv2d(incoming, outgoing, 1, stride, bias=False), nn.BatchNorm2d(outgoing))
        self.shortcut = nn.Identity() if incoming == outgoing and stride == 1 else projected

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(self.second(self.first(images)) + self.shortcut(images))


class ResNet(nn.Module):
    """Residual sums, with and without projection."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_block(1, 8)
        self.block1 = Basic(8, 8, 1)
        self.block2 = Basic(8, 16, 2)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.block2(self.block1(self.stem(images)))
        return self.head(torch.flatten(functional.adaptive_avg_pool2d(features, 1), 1))


class Inverted(nn.Module):
    def __init__(self, incoming: int, outgoing: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = incoming * expansion
        self.layers = nn.Sequential(
            conv_block(incoming, hidden, 1),
            conv_block(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outgoing, 1, bias=False),
            nn.BatchNorm2d(outgoing),
        )
        self.residual = stride == 1 and incoming == outgoing

    def forward(self, images: Tensor) -> Tensor:
        return images + self.layers(images) if self.residual else self.layers(images)


class MobileNet(nn.Module):
    """Depthwise convolutions within inverted residuals."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_block(1, 8, 3, 2), Inverted(8, 8, 1, 3), Inverted(8, 12, 2, 3), Inverted(12, 12, 1, 3)
        )
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images).mean([2, 3]))


class DenseNet(nn.Module):
    """Concatenation of everything before, and a flatten by `view`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 1, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8 + 4 * i), nn.ReLU(), nn.Conv2d(8 + 4 * i, 4, 3, 1, 1, bias=False))
            for i in range(3)
        )
        self.norm = nn.BatchNorm2d(20)
        self.head = nn.Linear(20 * 7 * 7, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = [self.stem(images)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        pooled = functional.avg_pool2d(functional.relu(self.norm(torch.cat(features, 1))), 4)
        return self.head(pooled.view(pooled.size(0), -1))


class RegBlock(nn.Module):
    def __init__(self, incoming: int, outgoing: int, group_width: int) -> None:
        super().__init__()
        self.first = conv_block(incoming, outgoing, 1)
        self.grouped = conv_block(outgoing, outgoing, 3, 1, outgoing // group_width)
        self.squeeze = nn.Conv2d(outgoing, 4, 1)
        self.excite = nn.Conv2d(4, outgoing, 1)
        self.last = nn.Sequential(nn.Conv2d(outgoing, outgoing, 1, bias=False), nn.BatchNorm2d(outgoing))
        self.shortcut = nn.Conv2d(incoming, outgoing, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.grouped(self.first(images))
        squeezed = functional.relu(self.squeeze(features.mean([2, 3], keepdim=True)))
        gated = features * torch.sigmoid(self.excite(squeezed))
        return functional.relu(self.last(gated) + self.shortcut(images))


class RegNet(nn.Module):
    """Grouped convolutions with squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_block(1, 8, 3, 2)
        self.block1 = RegBlock(8, 16, 4)
        self.block2 = RegBlock(16, 24, 8)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.block2(self.block1(self.stem(images))).mean((2, 3)))


class ConvNeXtBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, 1, 3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.randn(width))

    def forward(self, images: Tensor) -> Tensor:
        last = self.norm(self.depthwise(images).permute(0, 2, 3, 1))
        scaled = self.scale * self.narrow(functional.gelu(self.widen(last)))
        return images + scaled.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Layer norms, linear layers over channels in the last place, a bare parameter, no batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 4, 4)
        self.block1 = ConvNeXtBlock(8)
        self.down = nn.Conv2d(8, 12, 2, 2)
        self.block2 = ConvNeXtBlock(12)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.block2(self.down(self.block1(self.stem(images))))
        return self.head(self.norm(features.mean([-2, -1])))


class Multiplied(nn.Module):
    """A depthwise convolution with two filters per channel, a group norm, a PReLU per channel, a transposed one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_block(1, 6, 3, 2)
        self.depthwise = nn.Conv2d(6, 12, 3, 1, 1, groups=6)
        self.mixing = nn.Conv2d(12, 8, 1)
        self.norm = nn.GroupNorm(2, 8)
        self.activation = nn.PReLU(8)
        self.up = nn.ConvTranspose2d(8, 6, 2, 2)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.activation(self.norm(self.mixing(self.depthwise(self.stem(images)))))
        return self.head(functional.relu(self.up(features)).mean([2, 3]))


class Shuffled(nn.Module):
    """A channel shuffle: wrongly sliced, its outputs would be wrong with right shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv_block(1, 8)
        self.grouped = conv_block(8, 8, 1, 1, 2)
        self.last = conv_block(8, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        features = self.grouped(self.first(images))
        batch, channels, height, width = features.shape
        shuffled = features.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return self.head(self.last(shuffled.reshape(batch, channels, height, width)).mean([2, 3]))


class Halved(nn.Module):
    """A split in equal halves, which fewer channels would split elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_block(1, 8)
        self.left = conv_block(4, 4)
        self.right = conv_block(4, 6)
        self.head = nn.Linear(10, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        left, right = self.stem(images).chunk(2, 1)
        return self.head(torch.cat([self.left(left), self.right(right)], 1).mean([2, 3]))


SOUND: dict[str, Callable[[], nn.Module]] = {
    "vgg": vgg,
    "resnet": ResNet,
    "mobilenet": MobileNet,
    "densenet": DenseNet,
    "regnet": RegNet,
    "convnext": ConvNeXt,
    "multiplied": Multiplied,
}
SPLIT: dict[str, Callable[[], nn.Module]] = {"shuffled": Shuffled, "halved": Halved}
ZOO = SOUND | SPLIT


def zoo(name: str, seed: int = 5) -> nn.Module:
    """Return a network in eval mode with drawn weights and batch-norm statistics, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = ZOO[name]()
        for path, statistic in made.named_buffers():
            if path.endswith("running_mean"):
                nn.init.normal_(statistic, std=0.3)
            elif path.endswith("running_var"):
                nn.init.uniform_(statistic, 0.5, 2.0)
    return made.eval().requires_grad_(requires_grad=False)


@cache
def structure_of_zoo(name: str) -> Structure:
    """Return the structure of a network of the zoo."""
    return trace(zoo(name), IMAGES)


def images_for(count: int, seed: int) -> LoadedImages:
    """Return random images with labels that can be learnt: the mean brightness of the image's left half decides."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((count, *IMAGES), generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    images[:, :, :, :14] += labels.view(-1, 1, 1, 1) / CLASSES
    return LoadedImages(tuple(torch.split(images, 48)), labels)


def bench_of(name: str, images: int = 64) -> Bench:
    """Return a bench with a network of the zoo, and as many images for calibration and in each split."""
    splits = {split: images_for(images, number + 1) for number, split in enumerate(Split)}
    return Bench(zoo(name), structure_of_zoo(name), images_for(images, 0), splits, "cpu")


def evidence_of(name: str, images: int = 24) -> Evidence:
    """Return what a criterion is given of a network of the zoo."""
    own = bench_of(name, images)
    return Evidence(own.network, own.structure, own.calibration, seed=0)


def network(name: str = "resnet") -> nn.Module:
    """Return a network by name, for import targets."""
    return zoo(name)


def shuffled() -> nn.Module:
    """Return the network whose coupling groups cannot be sliced."""
    return zoo("shuffled")


def images_in_parts() -> ImageData:
    """Return random images for the networks of the zoo."""
    loaded = images_for(96, 1)
    images, labels = torch.cat(loaded.batches).numpy(), loaded.labels.numpy()
    parts = [LabelledImages(images[a:b], labels[a:b]) for a, b in ((0, 40), (40, 60), (60, 76), (76, 96))]
    return ImageData(*parts)
