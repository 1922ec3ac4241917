"""Networks drawn at random from a grammar: steps that split, shuffle, join, gate, normalise and reuse channels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.coupling.structure import Kept, Structure

IMAGES = (2, 8, 8)
CLASSES = 3

Draw = np.random.Generator


class Step(nn.Module):
    """One step; `outgoing` is how many channels it gives, `over_channels` whether it computes over them."""

    over_channels = False

    def __init__(self, channels: int, draw: Draw) -> None:
        super().__init__()
        self.outgoing = channels
        self.build(channels, draw)

    def build(self, channels: int, draw: Draw) -> None:
        """Make the layers."""


class Convolved(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.outgoing = int(draw.choice([8, 12, 16]))
        self.layer = nn.Conv2d(channels, self.outgoing, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        return torch.tanh(self.layer(values))


class Grouped(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer = nn.Conv2d(channels, 2 * channels, 3, padding=1, groups=int(draw.choice([2, 4])))
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, values: Tensor) -> Tensor:
        return self.narrow(torch.tanh(self.layer(values)))


class Depthwise(Step):
    def build(self, channels: int, draw: Draw) -> None:
        per_channel = int(draw.choice([1, 2]))
        self.outgoing = channels * per_channel
        self.layer, self.norm = (
            nn.Conv2d(channels, self.outgoing, 3, padding=1, groups=channels),
            nn.BatchNorm2d(self.outgoing),
        )
        self.narrow = nn.Conv2d(self.outgoing, 8, 1)
        self.outgoing = 8

    def forward(self, values: Tensor) -> Tensor:
        return self.narrow(self.norm(self.layer(values)))


class GroupedTransposed(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer = nn.ConvTranspose2d(channels, channels, 3, padding=1, groups=int(draw.choice([1, 2, channels])))

    def forward(self, values: Tensor) -> Tensor:
        return torch.tanh(self.layer(values))


class Residual(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 6, 1), nn.BatchNorm2d(6), nn.PReLU(6), nn.Conv2d(6, channels, 1)
        )

    def forward(self, values: Tensor) -> Tensor:
        return values + self.layers(values)


class Reused(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        return torch.tanh(self.layer(torch.tanh(self.layer(values))))


class Chunked(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer, self.reversed = nn.Conv2d(channels // 2, channels // 2, 1), bool(draw.integers(2))

    def forward(self, values: Tensor) -> Tensor:
        one, other = values.chunk(2, 1)
        halves = [one, torch.tanh(self.layer(other)) + other]
        return torch.cat(halves[::-1] if self.reversed else halves, 1)


class SplitByAttributes(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.convolved = int(draw.integers(2, channels - 2))
        self.sizes = [self.convolved, channels - self.convolved]
        self.layer = nn.Conv2d(self.convolved, self.convolved, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        one, other = torch.split(values, self.sizes, 1)
        return torch.cat([self.layer(one), other], 1)


class Sliced(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.first, self.by_shape = channels // 4, bool(draw.integers(2))
        self.layer = nn.Conv2d(channels // 4, channels // 4, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        first = values.shape[1] // 4 if self.by_shape else self.first
        return torch.cat([values[:, first:], self.layer(values[:, :first])], 1)


class Hierarchical(Step):
    """Pieces of one width, each convolved together with the one before."""

    def build(self, channels: int, draw: Draw) -> None:
        self.width = channels // 4
        self.layers = nn.ModuleList(nn.Conv2d(self.width, self.width, 3, padding=1) for _ in range(3))

    def forward(self, values: Tensor) -> Tensor:
        pieces = torch.split(values, self.width, 1)
        made = [pieces[0]]
        for piece, layer in zip(pieces[1:], self.layers, strict=True):
            made.append(torch.tanh(layer(piece + made[-1])))
        return torch.cat(made, 1)


class ShuffledByView(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.parts, self.layer = 2, nn.Conv2d(channels, channels, 1, groups=2)
        self.written = bool(draw.integers(2))

    def forward(self, values: Tensor) -> Tensor:
        count, channels, height, width = self.layer(values).shape
        laid = (self.layer(values)).reshape(count, self.parts, -1 if self.written else channels // 2, height, width)
        return laid.transpose(1, 2).reshape(count, channels, height, width)


class ShuffledByTorch(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer, self.shuffle = nn.Conv2d(channels, channels, 1, groups=2), nn.ChannelShuffle(2)
        self.flipped = bool(draw.integers(2))

    def forward(self, values: Tensor) -> Tensor:
        shuffled = self.shuffle(self.layer(values))
        return shuffled.flip(1) if self.flipped else shuffled


class Pixels(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.wide, self.narrow = nn.Conv2d(channels, 4 * 6, 1), nn.Conv2d(4 * 6, 8, 1)
        self.by_hand, self.outgoing = bool(draw.integers(2)), 8

    def forward(self, values: Tensor) -> Tensor:
        larger = functional.pixel_shuffle(torch.tanh(self.wide(values)), 2)
        if self.by_hand:
            count, channels, height, width = larger.shape
            folded = larger.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
            smaller = folded.reshape(count, channels * 4, height // 2, width // 2)
        else:
            smaller = functional.pixel_unshuffle(larger, 2)
        return self.narrow(smaller)


class Dense(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.outgoing = channels + 4
        self.norm, self.layer = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4, 3, padding=1)
        self.stacked = bool(draw.integers(2))
        self.narrow, self.outgoing = nn.Conv2d(channels + 4, 8, 1), 8

    def forward(self, values: Tensor) -> Tensor:
        joined = torch.cat([values, torch.tanh(self.layer(self.norm(values)))], 1)
        return self.narrow(torch.stack([joined, joined * 2], 1).sum(1) if self.stacked else joined)


class SqueezeAndExcite(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.squeeze, self.excite = nn.Linear(channels, 5), nn.Linear(5, channels)

    def forward(self, values: Tensor) -> Tensor:
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(values.mean((2, 3))))))
        return values * gate.view(values.size(0), -1, 1, 1)


class SimpleGate(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.layer, self.glu = nn.Conv2d(channels, 2 * channels, 1), bool(draw.integers(2))

    def forward(self, values: Tensor) -> Tensor:
        if self.glu:
            return functional.glu(self.layer(values), 1)
        one, other = self.layer(values).chunk(2, dim=1)
        return one * other


class Scaled(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.gamma = nn.Parameter(torch.rand([(channels, 1, 1), (1, channels, 1, 1)][int(draw.integers(2))]))
        self.scalar, self.map = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1, 1, *IMAGES[1:]))
        self.register_buffer("shift", torch.rand(channels, 1, 1))
        self.weights = nn.Parameter(torch.rand(2))

    def forward(self, values: Tensor) -> Tensor:
        first, second = torch.softmax(self.weights, 0)
        return first * self.gamma * values + second * self.scalar * self.map * values + self.shift


class Blurred(Step):
    def build(self, channels: int, draw: Draw) -> None:
        self.channels = channels
        self.register_buffer("kernel", torch.rand(channels, 1, 3, 3))

    def forward(self, values: Tensor) -> Tensor:
        return functional.conv2d(values, self.kernel, padding=1, groups=self.channels)


class Flattened(Step):
    """A detour through a linear layer over all places, and back to images."""

    def build(self, channels: int, draw: Draw) -> None:
        self.down, self.up, self.outgoing = nn.Linear(channels * 4, 6), nn.Linear(6, 8 * 4), 8

    def forward(self, values: Tensor) -> Tensor:
        flat = self.down(functional.adaptive_avg_pool2d(values, 2).flatten(1))
        images = self.up(torch.relu(flat)).view(values.size(0), -1, 2, 2)
        return functional.interpolate(images, values.shape[2:])


class Normalised(Step):
    over_channels = True

    def build(self, channels: int, draw: Draw) -> None:
        self.kind = int(draw.integers(4))
        norms = (nn.GroupNorm(2, channels), nn.LayerNorm(channels), nn.GroupNorm(1, channels), nn.Identity())
        self.norm = norms[self.kind]

    def forward(self, values: Tensor) -> Tensor:
        if self.kind == 1:
            return self.norm(values.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.kind == 3:
            mean = values.mean(1, keepdim=True)
            return (values - mean) / (values.var(1, keepdim=True, unbiased=False) + 0.1).sqrt()
        return self.norm(values)


class ResponseNorm(Step):
    """A global response norm, as ConvNeXt's second version has it."""

    over_channels = True

    def build(self, channels: int, draw: Draw) -> None:
        self.gamma = nn.Parameter(torch.rand(1, channels, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        spread = values.norm(p=2, dim=(2, 3), keepdim=True)
        return values + self.gamma * values * (spread / (spread.mean(1, keepdim=True) + 0.1))


class Standardised(Step):
    over_channels = True

    def build(self, channels: int, draw: Draw) -> None:
        self.layer = nn.Conv2d(channels, channels, 3, padding=1, groups=int(draw.choice([1, 2, channels])))
        self.gain = nn.Parameter(torch.rand(channels, 1, 1, 1))

    def forward(self, values: Tensor) -> Tensor:
        kernel, groups = self.layer.weight, self.layer.groups
        mean, variance = kernel.mean((1, 2, 3), keepdim=True), kernel.var((1, 2, 3), keepdim=True)
        kernel = self.gain * (kernel - mean) / (variance + 0.1).sqrt()
        return functional.conv2d(values, kernel, self.layer.bias, padding=1, groups=groups)


class Attention(Step):
    over_channels = True

    def build(self, channels: int, draw: Draw) -> None:
        self.kind = int(draw.integers(4))
        self.gate = nn.Conv1d(1, 1, 3, padding=1)
        self.place = nn.Conv2d(2, 1, 3, padding=1)
        self.joint, self.out = nn.Conv2d(channels, 3 * 8, 1), nn.Conv2d(8, channels, 1)
        self.heads = 2

    def forward(self, values: Tensor) -> Tensor:
        if self.kind == 0:  # a convolution over the means of channels
            means = values.mean((2, 3))[:, None]
            return values * torch.sigmoid(self.gate(means)).transpose(1, 2)[..., None]
        if self.kind == 1:  # a map of means and maxima over channels
            maps = torch.cat([values.mean(1, keepdim=True), values.amax(1, keepdim=True)], 1)
            return values * torch.sigmoid(self.place(maps))
        if self.kind == 2:  # channels that are alike
            return values * torch.softmax(values.mean((2, 3), keepdim=True), 1)
        count, _, height, width = values.shape
        joint = self.joint(values).flatten(2).reshape(count, 3, self.heads, -1, height * width)
        query, key, value = joint.transpose(-1, -2).unbind(1)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return values + self.out(mixed.transpose(-1, -2).reshape(count, -1, height, width))


STEPS: tuple[type[Step], ...] = (
    *(Convolved, Grouped, Depthwise, GroupedTransposed, Residual, Reused, Chunked, SplitByAttributes, Sliced),
    *(Hierarchical, ShuffledByView, ShuffledByTorch, Pixels, Dense, SqueezeAndExcite, SimpleGate, Scaled, Blurred),
    *(Flattened, Normalised, ResponseNorm, Standardised, Attention),
)


class Drawn(nn.Module):
    """A stem, some steps and a head."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = np.random.default_rng(seed)
        stem = nn.Conv2d(IMAGES[0], 8, 3, padding=1)
        steps, channels = [], 8
        for _ in range(int(draw.integers(1, 6))):
            steps.append(STEPS[int(draw.integers(len(STEPS)))](channels, draw))
            channels = steps[-1].outgoing
        self.stem, self.steps = stem, nn.ModuleList(steps)
        self.flat = bool(draw.integers(2))
        self.head = nn.Linear(channels * (4 if self.flat else 1), CLASSES)

    @property
    def over_channels(self) -> bool:
        """Whether any step computes over channels, so that a masked network has to know of them."""
        return any(step.over_channels for step in self.steps if isinstance(step, Step))

    def forward(self, images: Tensor) -> Tensor:
        values = torch.tanh(self.stem(images))
        for step in self.steps:
            values = step(values)
        pooled = functional.adaptive_avg_pool2d(values, 2 if self.flat else 1)
        return self.head(pooled.reshape(pooled.size(0), -1))


def drawn(seed: int) -> Drawn:
    """Return the network of that seed, its weights drawn, in eval mode and 64 bits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Drawn(seed).double().eval()
        for name, statistic in made.named_buffers():
            if name.endswith("running_mean"):
                nn.init.normal_(statistic, std=0.3)
            elif name.endswith("running_var"):
                nn.init.uniform_(statistic, 0.5, 2.0)
    return made.requires_grad_(requires_grad=False)


def cut_of(structure: Structure, seed: int) -> Kept:
    """Return some units of every group, two at least: a variance over one is none."""
    draw = np.random.default_rng(seed)
    widths = [int(draw.integers(min(2, units), units + 1)) for units in structure.units]
    return [np.sort(draw.choice(own, width, replace=False)) for own, width in zip(structure.units, widths, strict=True)]


def unread(network: nn.Module, structure: Structure, kept: Kept) -> nn.Module:
    """Return the network at full size with zeros for all weights that read what is removed, run as torch runs it."""
    zeroed = {}
    for part in structure.weighted:
        weight = network.get_parameter(f"{part.path}.weight")
        assert part.incoming is not None
        reads = torch.zeros(len(part.incoming), dtype=weight.dtype)
        reads[torch.from_numpy(part.incoming.staying(kept))] = 1
        if part.kind.startswith("ConvTranspose"):
            own = reads.view(-1, 1, *[1] * (weight.ndim - 2))
        else:
            by_filter = reads.view(part.conv_groups, -1).repeat_interleave(weight.shape[0] // part.conv_groups, 0)
            own = by_filter.view(weight.shape[0], -1, *[1] * (weight.ndim - 2))
        zeroed[f"{part.path}.weight"] = weight * own
    return with_tensors(network, zeroed)
