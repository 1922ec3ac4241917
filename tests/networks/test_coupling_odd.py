"""What the dependency graph does not know stays whole, with the reason; all around it can still be pruned."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from odd_networks_for_tests import (
    IMAGES,
    Activated,
    Attention,
    Chain,
    ChannelsFirst,
    Chunked,
    ConvNeXt,
    Halved,
    Mixing,
    Plain,
    Positions,
    Repeated,
    Same,
    Shuffled,
    Standardised,
    shuffle_net,
)
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.cost import CostModel


def chain(first: nn.Module, between: nn.Module | None = None, outgoing: int = 8) -> Callable[[], nn.Module]:
    return lambda: copy.deepcopy(Chain(first, between or nn.Identity(), outgoing))  # no test sees another's network


INNER = {"second", "third"}
# By name: how to make it, which coupling groups there are, and why channels of which layers stay.
ODD: dict[str, tuple[Callable[[], nn.Module], set[str], dict[str, str]]] = {
    "a convolution under another name": (chain(Plain(1, 8, 3, padding=1)), {"first", *INNER}, {}),
    "a convolution that pads by itself": (chain(Same(1, 8, 3)), {"first", *INNER}, {}),
    "a convolution that standardises its weights": (
        chain(nn.Conv2d(1, 8, 3, padding=1), Standardised(8, 8, 3)),
        {"between", *INNER},
        {"first": "no slicing is known for a Standardised"},
    ),
    "a layer of its own kind": (
        chain(nn.Conv2d(1, 6, 3, padding=1), Mixing(6, 8)),
        INNER,
        {"first": "no axis of this parameter"},
    ),
    "an instance norm": (chain(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8, affine=True)), {"first", *INNER}, {}),
    "an instance norm without weights": (chain(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8)), {"first", *INNER}, {}),
    "a batch norm with its activation": (chain(nn.Conv2d(1, 8, 3), Activated(8)), {"first", *INNER}, {}),
    "a norm over the channels of images": (
        chain(nn.Conv2d(1, 8, 3), ChannelsFirst(8, eps=1e-2)),
        {"first", *INNER},
        {},
    ),
    "ConvNeXt": (ConvNeXt, {"stem", "wide"}, {}),
    "a chunk": (Chunked, {"last"}, {"first": "cannot be followed", "inner": "cannot be followed"}),
    "a map of positions": (Positions, {"first", "second"}, {}),
    "one convolution for queries, keys and values": (Attention, {"stem", "after"}, {"joint": "cannot be followed"}),
    "a pixel shuffle": (Shuffled, {"second"}, {"first": "cannot be followed"}),
    "a shortcut with channels of zeros": (Halved, {"second"}, {"first": "cannot be followed"}),
}


def narrowed(structure: Structure, seed: int) -> Kept:
    rng = np.random.default_rng(seed)
    widths = [int(rng.integers(1, units + 1)) for units in structure.units]
    return [
        np.sort(rng.choice(units, width, replace=False)) for units, width in zip(structure.units, widths, strict=True)
    ]


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_known_stays_whole_with_the_reason_and_its_neighbours_can_be_pruned(name: str) -> None:
    make, groups, wholes = ODD[name]
    structure = trace(make(), IMAGES)
    assert structure.broken == {}
    assert {group.name for group in structure.groups} == groups
    found = {whole.path: whole.reason for whole in structure.wholes if whole.path != "head"}
    assert found.keys() >= wholes.keys()
    for path, reason in wholes.items():
        assert reason in found[path]


@pytest.mark.parametrize("name", ODD)
def test_the_sliced_network_gives_the_masked_ones_outputs_and_costs_what_is_counted(name: str) -> None:
    network = ODD[name][0]().double().eval()
    structure = trace(network.float(), IMAGES)
    network.double()
    images = torch.randn((2, *IMAGES), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for seed in range(4):
        kept = narrowed(structure, seed)
        assert difference(network, structure, kept, images) < 1e-9  # in 64 bits
        pruned = pruned_module(network, structure, kept)
        widths = np.array([[len(units) for units in kept]])
        model = CostModel.of(network, structure)
        assert model.parameters(widths)[0] == sum(each.numel() for each in pruned.parameters())
        with FlopCounterMode(display=False) as counter:
            pruned(images[:1])
        if name in {"a convolution under another name", "ConvNeXt", "a map of positions", "an instance norm"}:
            assert model.macs(widths)[0] == counter.get_total_flops() // 2


def test_a_network_whose_channels_cannot_be_followed_at_all_is_whole_with_the_reason() -> None:
    structure = trace(shuffle_net(), IMAGES)
    assert not structure.groups
    assert not structure.broken
    assert [part.path for part in structure.weighted] == ["0", "1.branch.0", "2.branch.0", "5"]
    assert "splitting, shuffling or reshaping channels is the usual cause" in structure.wholes[0].reason


def test_a_layer_that_runs_twice_or_shares_its_weight_can_be_left_whole_by_name() -> None:
    with pytest.raises(ConfigError, match=r"are one tied weight.* or leave both whole with `ignore`"):
        trace(Repeated(), IMAGES, ("again",))
    with pytest.raises(ConfigError, match=r"'again' runs 2 times in one pass.*`ignore: \[again\]`"):
        trace(Repeated(), IMAGES, ("narrow", "tied"))
    network = Repeated()
    structure = trace(network, IMAGES, ("again", "narrow", "tied"))
    assert [group.name for group in structure.groups] == ["last"]
    assert structure.broken == {}
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros((1, *IMAGES)))
    assert CostModel.of(network, structure).macs(np.array([[7]]))[0] == counter.get_total_flops() // 2


def test_a_norm_across_neighbouring_channels_is_named_and_can_be_ignored() -> None:
    make = chain(nn.Conv2d(1, 8, 3), nn.LocalResponseNorm(3))
    assert set(trace(make(), IMAGES).broken) == {"first"}
    structure = trace(make(), IMAGES, ("first",))
    assert not structure.broken
    assert {group.name for group in structure.groups} == INNER
