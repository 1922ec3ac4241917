"""Channels followed by index: which go together, which numbers count them, and what is said of those that stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from drawn_networks_for_tests import IMAGES as DRAWN_IMAGES
from drawn_networks_for_tests import cut_of, drawn
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.pruned_module import clone, pruned_module
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.records import Split

IMAGES = (1, 8, 8)


class Between(nn.Module):
    """Two convolutions and a head, with a step between that is given."""

    def __init__(self, step: Callable[[Between, Tensor], Tensor], reads: int, **made: object) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(1, 8, 3), nn.Conv2d(reads, 6, 1), nn.Linear(6, 3)
        self.step = step
        for name, value in made.items():
            setattr(self, name, value)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.second(self.step(self, torch.tanh(self.first(images)))).mean((2, 3)))


def traced(step: Callable[[Between, Tensor], Tensor], reads: int = 8, **made: object) -> tuple[Between, Structure]:
    network = Between(step, reads, **made).eval()
    return network, trace(network, IMAGES)


def units(structure: Structure, path: str, side: str = "out") -> list[int]:
    part = structure.part(path)
    wiring = part.outgoing if side == "out" else part.incoming
    assert wiring is not None
    return [int(unit) for unit in wiring.units]


def shuffled(_network: Between, values: Tensor) -> Tensor:
    count, channels, height, width = values.shape
    return values.view(count, 2, channels // 2, height, width).transpose(1, 2).reshape(count, -1, height, width)


def shuffled_by_a_fraction(_network: Between, values: Tensor) -> Tensor:
    """Of 4 x 2 channels those along the shorter axis go, which only trying can say."""
    count, channels, height, width = values.shape
    return values.view(count, 4, int(channels / 4), height, width).transpose(1, 2).reshape(count, -1, height, width)


@pytest.mark.parametrize(
    ("step", "reads", "out", "taken"),
    [
        (lambda _, x: torch.cat(x.chunk(2, 1)[::-1], 1), 8, [0, 1, 2, 3] * 2, [0, 1, 2, 3] * 2),
        (lambda _, x: torch.cat([x[:, x.size(1) // 4 :], x[:, : x.size(1) // 4]], 1), 8, [0, 1] * 4, [0, 1] * 4),
        (lambda _, x: x[:, ::2] + x[:, 1::2], 4, [0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 2, 3]),
        (lambda _, x: x.flip(1), 8, [0, 1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1, 0]),
        (shuffled, 8, [0, 1, 2, 3] * 2, [0, 0, 1, 1, 2, 2, 3, 3]),
        (shuffled_by_a_fraction, 8, [0, 1] * 4, [0, 0, 0, 0, 1, 1, 1, 1]),
        (lambda _, x: functional.pixel_shuffle(x, 2), 2, [0] * 4 + [1] * 4, [0, 1]),
        (lambda _, x: functional.pixel_unshuffle(x, 2), 32, list(range(8)), [u for u in range(8) for _ in range(4)]),
        (lambda _, x: torch.cat([x, x], 1), 16, list(range(8)), list(range(8)) * 2),
        (lambda _, x: functional.glu(x, 1), 4, [0, 1, 2, 3] * 2, [0, 1, 2, 3]),
        (lambda _, x: x * torch.softmax(x, 1), 8, list(range(8)), list(range(8))),
    ],
)
def test_each_channel_is_followed_to_where_it_is_read(
    step: Callable[[Between, Tensor], Tensor], reads: int, out: Sequence[int], taken: Sequence[int]
) -> None:
    _, structure = traced(step, reads)
    assert units(structure, "first") == list(out)
    assert units(structure, "second", "in") == list(taken)


def test_attributes_that_count_channels_get_their_new_numbers() -> None:
    def cut(network: Between, values: Tensor) -> Tensor:
        one, other = torch.split(values, network.sizes, 1)
        return torch.cat([other, one], 1)

    network, structure = traced(cut, sizes=[3, 5])
    assert {group.units for group in structure.groups} == {3, 5, 6}
    kept = [np.arange(2) if group.units == 3 else np.arange(group.units) for group in structure.groups]
    sliced = pruned_module(network, structure, kept)
    assert (sliced.sizes, network.sizes) == ([2, 5], [3, 5])
    assert sliced(torch.randn(2, *IMAGES)).shape == (2, 3)


def test_an_attribute_that_a_number_is_computed_from_is_counted_too() -> None:
    network, structure = traced(lambda own, x: torch.cat(x.split(own.width // 2, 1)[::-1], 1), width=8)
    sliced = pruned_module(network, structure, [np.arange(1), *structure.full[1:]])
    assert sliced.width == 2


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (lambda _, x: x.view(-1, 8, 6, 6), r"shape '\[-1, 8, 6, 6\]' is invalid.*test_following\.py:\d+ `"),
        (lambda _, x: x[:, torch.tensor([0, 2, 1, 3, 4, 5, 6, 7])], r"channels are picked by number \(.*\.py:\d+ `"),
        (
            lambda _, x: torch.cat([x[:, 2:], x[:, :2]], 1),
            r"other outputs than masked.*, from slice \(the network's forward, test_following.py:\d+ `",
        ),
        (lambda _, x: x.cumsum(1), r"cumsum depends on the order of channels \(the network's forward, test_following"),
        (lambda _, x: torch.fft.fft(x, dim=1).real, r"a Fourier transform over channels depends on all of them"),
        (lambda _, x: torch.logcumsumexp(x, 1), "how channels go through logcumsumexp is not known"),
        (lambda _, x: torch.cat(x.split([3, 5], 1), 1), r"cut where only all of them together could go \(.*\.py:\d+ `"),
        (lambda _, x: x.mean(1, keepdim=True).expand(-1, 8, -1, -1), "no layer reads them as its channels"),
        (lambda _, x: x + torch.arange(8.0)[:, None, None], r"sliced, the network does not run: .*test_following\.py"),
    ],
)
def test_channels_that_stay_say_the_operation_and_the_line(
    step: Callable[[Between, Tensor], Tensor], reason: str
) -> None:
    _, structure = traced(step)
    assert [group.name for group in structure.groups] == ["second"]
    found = next(whole.reason for whole in structure.wholes if whole.path == "first")
    assert re.search(reason, found), found


def test_a_value_that_is_used_for_all_channels_ties_none_of_them() -> None:
    scalar, place = nn.Parameter(torch.rand(1)), nn.Parameter(torch.rand(1, 1, 6, 6))
    gates = nn.Parameter(torch.rand(3))
    _, structure = traced(lambda own, x: x * own.a * own.b * torch.relu(own.c)[1], a=scalar, b=place, c=gates)
    assert [(group.name, group.units) for group in structure.groups] == [("first", 8), ("second", 6)]


@pytest.mark.parametrize("shape", [(8,), (8, 1, 1), (1, 8, 1, 1)])
def test_scales_of_channels_go_with_them_in_any_shape(shape: tuple[int, ...]) -> None:
    network, structure = traced(lambda own, x: x * own.scale.view(1, -1, 1, 1), scale=nn.Parameter(torch.rand(shape)))
    assert ("scale", "out") in structure.groups[0].members
    sliced = pruned_module(network, structure, [np.arange(3), *structure.full[1:]])
    assert sliced.get_parameter("scale").numel() == 3


def test_a_scale_of_channels_may_be_one_row_of_a_parameter() -> None:
    network, structure = traced(lambda own, x: x * own.rows[1, :, None, None], rows=nn.Parameter(torch.rand(2, 8)))
    assert ("rows", "out") in structure.groups[0].members
    sliced = pruned_module(network, structure, [np.arange(3), *structure.full[1:]])
    assert sliced.get_parameter("rows").shape == (2, 3)


@pytest.mark.parametrize(
    "step",
    [
        lambda _, x: functional.conv2d(
            x.float(), torch.ones(1, 1, 1, 1).expand(x.shape[1], 1, 1, 1), groups=x.shape[1]
        ),
        lambda own, x: x * own.spread.rsqrt().view(1, -1, 1, 1),
    ],
)
def test_neither_32_bits_in_a_forward_nor_a_root_of_a_weight_keeps_channels_whole(
    step: Callable[[Between, Tensor], Tensor],
) -> None:
    _, structure = traced(step, spread=nn.Parameter(torch.rand(8) + 1))
    assert [(group.name, group.units) for group in structure.groups] == [("first", 8), ("second", 6)]


def test_channels_that_every_way_to_split_leaves_whole_say_why_the_first_one_failed() -> None:
    _, structure = traced(lambda own, x: own.up(x.mean((2, 3))).view(-1, 5, 2, 2), 5, up=nn.Linear(8, 20))
    found = next(whole.reason for whole in structure.wholes if whole.path == "up")
    assert re.search(r"shape '\[-1, 5, 2, 2\]' is invalid.*test_following\.py:\d+ `", found), found


def test_channels_that_a_layer_reads_only_in_training_stay() -> None:
    def step(network: Between, values: Tensor) -> Tensor:
        return values + network.beside(values).mean() if network.training else values

    _, structure = traced(step, beside=nn.Conv2d(8, 2, 1))
    assert [group.name for group in structure.groups] == ["second"]
    found = next(whole.reason for whole in structure.wholes if whole.path == "first")
    assert re.search(r"does not run in training mode: .*test_following\.py:\d+ `", found), found


def test_a_layer_norm_is_found_whatever_the_size_of_the_images() -> None:
    norm = nn.LayerNorm(8)
    for size in (8, 10):  # at ten, height and width are eight, as many as there are channels
        network = Between(lambda own, x: own.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 8, norm=norm).eval()
        structure = trace(network, (1, size, size))
        assert ("norm", "out") in structure.groups[0].members


def test_a_forward_that_was_chosen_when_the_network_was_made_runs_in_the_copy() -> None:
    class Choosing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.forward = self.forwarded

        def forwarded(self, values: Tensor) -> Tensor:
            return self.layer(values)

    network = Choosing()
    copied = clone(network)
    copied.layer.weight = nn.Parameter(torch.zeros(2, 2))
    assert torch.equal(copied(torch.ones(1, 2))[0], network.layer.bias)
    assert not torch.equal(network(torch.ones(1, 2))[0], network.layer.bias)


def test_a_weight_that_is_used_without_its_layer_is_counted_at_its_places() -> None:
    layer = nn.Conv2d(8, 8, 3)
    network, structure = traced(lambda own, x: functional.conv2d(x, own.layer.weight, own.layer.bias), layer=layer)
    assert structure.part("layer").positions == 4 * 4
    assert structure.functional_macs == 0
    full = np.array([structure.units])
    assert CostModel.of(network, structure).macs(full)[0] == 36 * 9 * 8 + 16 * 9 * 64 + 16 * 8 * 6 + 6 * 3


@pytest.mark.parametrize(
    ("step", "layer"),
    [
        (lambda own, x: own.layer(x), nn.Linear(6, 6)),
        (lambda own, x: own.layer(x.flatten(2)).view(len(x), -1, 6, 6), nn.Linear(36, 36, bias=False)),
        (lambda own, x: own.layer(x.transpose(1, 2)).transpose(1, 2), nn.Conv2d(6, 6, 1)),
        (lambda own, x: own.layer(x.mean((2, 3))[:, None]).transpose(1, 2)[..., None] * x, nn.Conv1d(1, 1, 3, 1, 1)),
        (lambda own, x: own.layer(x) + own.layer(x.flip(1)), nn.Linear(6, 6)),
        (lambda own, x: own.layer(x.reshape(-1, 1, 6, 6)).reshape(len(x), -1, 6, 6), nn.Conv2d(1, 1, 3, 1, 1)),
        (lambda own, x: own.layer(x.reshape(-1, 6)).reshape(len(x), -1, 6, 6), nn.Linear(6, 6)),
    ],
)
def test_a_layer_that_is_applied_to_each_channel_is_counted_for_those_that_stay(
    step: Callable[[Between, Tensor], Tensor], layer: nn.Module
) -> None:
    network, structure = traced(step, layer=layer)
    assert Structure.from_json(structure.as_json()).as_json() == structure.as_json()
    kept = [np.arange(group.units - number - 1) for number, group in enumerate(structure.groups)]
    widths = np.array([[len(units) for units in kept]])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pruned_module(network, structure, kept)(torch.zeros((1, *IMAGES)))
    assert CostModel.of(network, structure).macs(widths)[0] == counter.get_total_flops() // 2


def test_where_channels_are_computed_over_the_masked_network_sees_those_that_stay() -> None:
    network, structure = traced(lambda _, x: x / (x.norm(dim=1, keepdim=True) + 1))
    kept = [np.array([1, 4, 5]), *structure.full[1:]]
    images = torch.randn((2, *IMAGES), dtype=torch.float64)
    assert difference(network.double(), structure, kept, images) < 1e-9  # in 64 bits


@pytest.mark.parametrize("seed", [3, 8, 11, 27, 45, 52])
def test_candidates_of_drawn_networks_score_the_same_however_they_are_run(seed: int) -> None:
    network = drawn(seed).float()
    structure = trace(network, DRAWN_IMAGES)
    kept = cut_of(structure, seed)
    images = LoadedImages(
        (torch.randn((6, *DRAWN_IMAGES), generator=torch.Generator().manual_seed(1)),), torch.arange(6)
    )
    bench = Bench(network, structure, images, dict.fromkeys(Split, images), "cpu")
    variant = Slicer(bench, [np.arange(own) for own in structure.units]).variant_of(kept)
    plain = PlainRunner(bench, None, "float32").outputs([variant], Split.SEARCH)[0]
    expected = pruned_module(network, structure, kept)(images.batches[0])
    assert torch.allclose(plain, expected, atol=1e-6)  # the same sums
    try:
        reusing = ReusingRunner(bench, None, 2**20, "float32")
    except NotFollowed:
        return
    assert torch.allclose(reusing.outputs([variant], Split.SEARCH)[0], expected, atol=1e-5)  # in another order


def test_a_forward_that_no_rule_is_written_for_leaves_the_network_whole_and_says_where() -> None:
    def choosy(network: Between, values: Tensor) -> Tensor:
        if type(network.width) is not int:
            raise TypeError("a plain number, please")
        return values[:, : network.width]

    _, structure = traced(choosy, width=8)
    assert structure.groups == ()
    assert {whole.path for whole in structure.wholes} == {"first", "second", "head"}
    assert "its forward cannot be followed: TypeError: a plain number, please (test_following.py:" in (
        structure.wholes[0].reason
    )
