"""Small networks after families in use, for images of 3 x 32 x 32: how they split, mix and gate channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["IMAGES", "installed", "made_here"]

IMAGES = (3, 32, 32)
CLASSES = 10


def unit(incoming: int, outgoing: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution with its batch norm and its activation."""
    conv = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outgoing), nn.ReLU())


class Tail(nn.Module):
    """A stem, blocks of one width, and a head."""

    def __init__(self, block: Callable[[int], nn.Module], blocks: int = 2, width: int = 32) -> None:
        super().__init__()
        self.stem, self.blocks = unit(3, width, stride=2), nn.Sequential(*(block(width) for _ in range(blocks)))
        self.last, self.head = unit(width, 48), nn.Linear(48, CLASSES)

    def forward(self, images: Tensor) -> Any:
        """Return the scores of classes."""
        return self.head(self.last(self.blocks(self.stem(images))).mean((2, 3)))


class Block(nn.Module):
    """A block with a gate or a norm in its middle."""

    def __init__(self, width: int, middle: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first, self.middle, self.second = unit(width, width), middle(width), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, values: Tensor) -> Any:
        """Return what went in with what the middle let through."""
        return values + self.second(self.middle(self.first(values)))


class ShuffleOne(nn.Module):
    """ShuffleNet: grouped 1 x 1 convolutions with a shuffle by views between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.groups = 4
        self.first, self.deep = unit(width, width, 1, groups=4), unit(width, width, 3, groups=width)
        self.last = nn.Conv2d(width, width, 1, groups=4)

    def forward(self, values: Tensor) -> Any:
        """Shuffle between the groups."""
        made = self.first(values)
        count, channels, height, width = made.size()
        made = made.view(count, self.groups, channels // self.groups, height, width).transpose(1, 2).contiguous()
        return values + self.last(self.deep(made.view(count, -1, height, width)))


class ShuffleTwo(nn.Module):
    """ShuffleNet v2: one half goes by, then both are shuffled."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(unit(half, half, 1), unit(half, half, 3, groups=half), unit(half, half, 1))

    def forward(self, values: Tensor) -> Any:
        """Shuffle what went by with what was made."""
        one, other = values.chunk(2, dim=1)
        return functional.channel_shuffle(torch.cat((one, self.branch(other)), dim=1), 2)


class Res2(nn.Module):
    """Res2Net: pieces of one width, each convolved with the one before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width // 4
        self.first, self.last = unit(width, width, 1), nn.Conv2d(width, width, 1)
        self.layers = nn.ModuleList(unit(self.width, self.width) for _ in range(3))

    def forward(self, values: Tensor) -> Any:
        """Add each piece to the next."""
        pieces = torch.split(self.first(values), self.width, 1)
        made = [pieces[0]]
        for number, layer in enumerate(self.layers):
            made.append(layer(pieces[number + 1] + (made[-1] if number else 0)))
        return functional.relu(values + self.last(torch.cat(made, 1)))


class C2f(nn.Module):
    """YOLOv8's: halves by attribute, every step's result concatenated."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c = width // 2
        self.first, self.last = unit(width, 2 * self.c, 1), unit(4 * self.c, width, 1)
        self.steps = nn.ModuleList(nn.Sequential(unit(self.c, self.c), unit(self.c, self.c)) for _ in range(2))

    def forward(self, values: Tensor) -> Any:
        """Join all steps."""
        made = list(self.first(values).split((self.c, self.c), 1))
        made.extend(step(made[-1]) for step in self.steps)
        return self.last(torch.cat(made, 1))


class Partial(nn.Module):
    """FasterNet: a quarter of the channels is convolved."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolved, self.untouched = width // 4, width - width // 4
        self.layer = nn.Conv2d(self.convolved, self.convolved, 3, padding=1, bias=False)
        self.wide, self.narrow = unit(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)

    def forward(self, values: Tensor) -> Any:
        """Convolve the first channels."""
        one, other = torch.split(values, [self.convolved, self.untouched], dim=1)
        return values + self.narrow(self.wide(torch.cat((self.layer(one), other), 1)))


class Ghost(nn.Module):
    """GhostNet: cheap channels beside others, cut to an odd width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.made = 45
        self.primary, self.cheap = unit(width, 23, 1), unit(23, 23, 3, groups=23)
        self.narrow = nn.Conv2d(self.made, width, 1)

    def forward(self, values: Tensor) -> Any:
        """Cut the last of the cheap ones away."""
        primary = self.primary(values)
        return values + self.narrow(torch.cat([self.cheap(primary), primary], 1)[:, : self.made])


class Mixed(nn.Module):
    """MixNet: pieces with kernels of several sizes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.splits = [width // 2, width // 4, width - width // 2 - width // 4]
        self.layers = nn.ModuleList(
            nn.Conv2d(own, own, 3 + 2 * number, padding=1 + number, groups=own)
            for number, own in enumerate(self.splits)
        )
        self.narrow = nn.Conv2d(width, width, 1)

    def forward(self, values: Tensor) -> Any:
        """Convolve each piece by itself."""
        pieces = torch.split(values, self.splits, 1)
        made = [layer(piece) for layer, piece in zip(self.layers, pieces, strict=True)]
        return values + self.narrow(torch.cat(made, 1))


class SimpleGate(nn.Module):
    """NAFNet: halves multiplied, a norm by hand over channels, scales that are learnt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.wide, self.narrow = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, values: Tensor) -> Any:
        """Multiply halves."""
        mean, spread = values.mean(1, keepdim=True), values.var(1, keepdim=True, unbiased=False)
        normed = self.weight.view(1, -1, 1, 1) * ((values - mean) / (spread + 1e-6).sqrt()) + self.bias[:, None, None]
        one, other = self.wide(normed).chunk(2, dim=1)
        return values + self.beta * self.narrow(one * other)


class Pixels(nn.Module):
    """Sub-pixel convolution and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide, self.shuffle = nn.Conv2d(width, 4 * 16, 1), nn.PixelShuffle(2)
        self.unshuffle, self.narrow = nn.PixelUnshuffle(2), nn.Conv2d(64, width, 1)

    def forward(self, values: Tensor) -> Any:
        """Make images larger and smaller again."""
        return values + self.narrow(self.unshuffle(functional.relu(self.shuffle(self.wide(values)))))


class Eca(nn.Module):
    """A convolution over the means of channels."""

    def __init__(self, _width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, values: Tensor) -> Any:
        """Gate each channel."""
        means = functional.adaptive_avg_pool2d(values, 1).squeeze(-1).transpose(-1, -2)
        return values * torch.sigmoid(self.conv(means)).transpose(-1, -2).unsqueeze(-1)


class Cbam(nn.Module):
    """Gates of channels and of places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Conv2d(width, width // 8, 1), nn.ReLU(), nn.Conv2d(width // 8, width, 1))
        self.place = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, values: Tensor) -> Any:
        """Gate channels by one network that is used twice, then places."""
        pooled = self.shared(functional.adaptive_avg_pool2d(values, 1)) + self.shared(
            functional.adaptive_max_pool2d(values, 1)
        )
        values = values * torch.sigmoid(pooled)
        maps = torch.cat([values.mean(1, keepdim=True), values.max(1, keepdim=True)[0]], 1)
        return values * torch.sigmoid(self.place(maps))


class Selective(nn.Module):
    """Selective kernels: which of two branches counts, channel by channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([unit(width, width), unit(width, width, 5)])
        self.squeeze, self.excite = unit(width, 8, 1), nn.Conv2d(8, 2 * width, 1)

    def forward(self, values: Tensor) -> Any:
        """Weigh branches."""
        made = torch.stack([branch(values) for branch in self.branches], 1)
        gates = self.excite(self.squeeze(made.sum(1).mean((2, 3), keepdim=True)))
        count, channels = gates.shape[0], gates.shape[1] // 2
        return (made * torch.softmax(gates.view(count, 2, channels, 1, 1), 1)).sum(1)


class Coordinate(nn.Module):
    """Coordinate attention: gates of rows and of columns from one reduction."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = unit(width, 7, 1)
        self.rows, self.columns = nn.Conv2d(7, width, 1), nn.Conv2d(7, width, 1)

    def forward(self, values: Tensor) -> Any:
        """Gate rows and columns."""
        height, width = values.shape[2:]
        both = torch.cat([values.mean(3, keepdim=True), values.mean(2, keepdim=True).permute(0, 1, 3, 2)], 2)
        rows, columns = torch.split(self.reduce(both), [height, width], 2)
        return values * torch.sigmoid(self.rows(rows)) * torch.sigmoid(self.columns(columns.permute(0, 1, 3, 2)))


class NonLocal(nn.Module):
    """Attention between places, as SAGAN has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(width, n, 1) for n in (width // 4, width // 4, width))
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, values: Tensor) -> Any:
        """Mix places."""
        count, channels, height, width = values.size()
        query = self.query(values).view(count, -1, height * width).permute(0, 2, 1)
        mixed = torch.softmax(torch.bmm(query, self.key(values).view(count, -1, height * width)), -1)
        made = torch.bmm(self.value(values).view(count, -1, height * width), mixed.permute(0, 2, 1))
        return self.gamma * made.view(count, channels, height, width) + values


class Global(nn.Module):
    """ConvNeXt v2: channels last, a norm over them, a global response norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deep, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.gamma, self.beta = (nn.Parameter(torch.ones(1, 1, 1, 2 * width)) for _ in range(2))

    def forward(self, values: Tensor) -> Any:
        """Normalise by what all channels answer."""
        made = functional.gelu(self.wide(self.norm(self.deep(values).permute(0, 2, 3, 1))))
        spread = torch.norm(made, p=2, dim=(1, 2), keepdim=True)
        made = self.gamma * (made * (spread / (spread.mean(dim=-1, keepdim=True) + 1e-6))) + self.beta + made
        return values + self.narrow(made).permute(0, 3, 1, 2)


class StandardisedConv(nn.Conv2d):
    """Weight standardisation with a gain, as normaliser-free networks have it."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        super().__init__(incoming, outgoing, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(outgoing, 1, 1, 1))

    def forward(self, values: Tensor) -> Any:
        """Standardise every filter first."""
        weight = functional.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None, weight=self.gain.view(-1), training=True
        ).reshape_as(self.weight)
        return functional.conv2d(values, weight, self.bias, padding=1)


class Blurred(nn.Module):
    """A fixed kernel in a buffer, one filter per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = width
        self.kernel: Tensor
        self.register_buffer("kernel", torch.ones(width, 1, 3, 3) / 9)

    def forward(self, values: Tensor) -> Any:
        """Blur."""
        return functional.conv2d(functional.pad(values, (1, 1, 1, 1), "reflect"), self.kernel, groups=self.channels)


class Fused(nn.Module):
    """BiFPN: maps of two sizes, weighed by learnt scalars."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.weights = unit(width, width, stride=2), nn.Parameter(torch.ones(2))

    def forward(self, values: Tensor) -> Any:
        """Add a smaller map, made larger."""
        weights = functional.relu(self.weights)
        weights = weights / (weights.sum() + 1e-4)
        return weights[0] * values + weights[1] * functional.interpolate(self.down(values), scale_factor=2)


class Siamese(nn.Module):
    """One tower for two maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.tower = nn.Sequential(unit(width, width), unit(width, width))

    def forward(self, values: Tensor) -> Any:
        """Run the tower on both."""
        return self.tower(values) + self.tower(values.flip(3)).flip(3)


class LeNet(nn.Module):
    """The tutorials' network, its flattening written as a number."""

    def __init__(self, *, written: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 5), nn.Conv2d(8, 16, 5)
        self.one, self.two, self.written = nn.Linear(16 * 5 * 5, 40), nn.Linear(40, CLASSES), written

    def forward(self, images: Tensor) -> Any:
        """Flatten."""
        made = functional.max_pool2d(functional.relu(self.first(images)), 2)
        made = functional.max_pool2d(functional.relu(self.second(made)), 2)
        made = made.view(-1, 400) if self.written else made.view(made.size(0), -1)
        return self.two(functional.relu(self.one(made)))


_BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "ShuffleNet": ShuffleOne,
    "ShuffleNet v2": ShuffleTwo,
    "Res2Net": Res2,
    "YOLOv8 C2f": C2f,
    "FasterNet": Partial,
    "GhostNet, odd widths": Ghost,
    "MixNet": Mixed,
    "NAFNet": SimpleGate,
    "pixel shuffle": Pixels,
    "non-local": NonLocal,
    "ConvNeXt v2": Global,
    "selective kernels": Selective,
    "BiFPN": Fused,
    "shared tower": Siamese,
}
_MIDDLES: dict[str, Callable[[int], nn.Module]] = {
    "ECA": Eca,
    "CBAM": Cbam,
    "coordinate attention": Coordinate,
    "weight standardisation": lambda width: StandardisedConv(width, width),
    "blur pooling": Blurred,
    "local response norm": lambda _width: nn.LocalResponseNorm(3),
    "group norm": lambda width: nn.GroupNorm(8, width),
    "softmax over channels": lambda _width: nn.Softmax2d(),
    "grouped transposed": lambda width: nn.ConvTranspose2d(width, width, 3, padding=1, groups=4),
}


def made_here() -> Iterator[tuple[str, Callable[[], nn.Module], tuple[int, ...]]]:
    """Yield networks by name: what makes them, and the shape of their images."""
    for name, block in _BLOCKS.items():
        yield name, partial(Tail, block), IMAGES
    for name, middle in _MIDDLES.items():
        yield name, partial(Tail, partial(Block, middle=middle)), IMAGES
    yield "LeNet, x.view(x.size(0), -1)", partial(LeNet, written=False), IMAGES
    yield "LeNet, x.view(-1, 400)", partial(LeNet, written=True), IMAGES


_TORCHVISION = (
    *("resnet18", "resnext50_32x4d", "densenet121", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small"),
    *("mnasnet0_5", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf", "googlenet"),
)
_TIMM = (
    *("fasternet_t0", "mixnet_s", "ghostnet_100", "skresnet18", "convnextv2_atto", "convnext_atto", "starnet_s1"),
    *("ese_vovnet19b_dw", "dla34", "hrnet_w18_small", "repvgg_a0", "mobileone_s0", "fbnetc_100", "rexnet_100"),
    *("tinynet_e", "mobilenetv4_conv_small", "nf_regnet_b0", "cspresnet50", "res2net50_26w_4s", "resnetblur50"),
    *("dpn48b", "resnest14d", "seresnext26ts", "eca_resnet33ts", "ecaresnet26t", "lambda_resnet26t"),
)


def installed() -> Iterator[tuple[str, Callable[[], nn.Module], tuple[int, ...]]]:
    """Yield networks of torchvision and timm, where these are installed, for images of 3 x 64 x 64."""
    shape = (3, 64, 64)
    try:
        import torchvision
    except (ImportError, RuntimeError):  # RuntimeError: built for another torch
        return
    models: Any = torchvision.models
    for name in _TORCHVISION:
        yield f"torchvision {name}", partial(getattr(models, name), weights=None, num_classes=CLASSES), shape
    try:
        import timm
    except ImportError:
        return
    for name in _TIMM:
        yield f"timm {name}", partial(timm.create_model, name, num_classes=CLASSES), shape
