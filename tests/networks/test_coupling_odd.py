"""What cannot be followed stays whole, with the reason; all around it can still be pruned."""

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
        {"first", "between", *INNER},
        {},
    ),
    "a layer of its own kind": (
        chain(nn.Conv2d(1, 6, 3, padding=1), Mixing(6, 8)),
        INNER,
        {"first": "two axes of between.mix hold channels"},
    ),
    "an instance norm": (chain(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8, affine=True)), {"first", *INNER}, {}),
    "an instance norm without weights": (chain(nn.Conv2d(1, 8, 3), nn.InstanceNorm2d(8)), {"first", *INNER}, {}),
    "a batch norm with its activation": (chain(nn.Conv2d(1, 8, 3), Activated(8)), {"first", *INNER}, {}),
    "a norm over the channels of images": (
        chain(nn.Conv2d(1, 8, 3), ChannelsFirst(8, eps=1e-2)),
        {"first", *INNER},
        {},
    ),
    "a norm across neighbouring channels": (
        chain(nn.Conv2d(1, 8, 3), nn.LocalResponseNorm(3)),
        INNER,
        {"first": "avg_pool3d computes over neighbouring channels ('between', odd_networks_for_tests.py:"},
    ),
    "ConvNeXt": (ConvNeXt, {"stem", "wide"}, {}),
    "a chunk": (Chunked, {"first", "last"}, {}),
    "a map of positions": (Positions, {"first", "second"}, {}),
    "one convolution for queries, keys and values": (Attention, {"stem", "joint", "after"}, {}),
    "a pixel shuffle": (Shuffled, {"first", "second"}, {}),
    "a shortcut with channels of zeros": (
        Halved,
        {"first", "second"},
        {"third": "they are added to channels of zeros (the network's forward, odd_networks_for_tests.py:"},
    ),
    "shuffled again and again": (shuffle_net, {"0"}, {}),
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


def test_a_layer_that_runs_twice_or_shares_its_weight_can_be_left_whole_by_name() -> None:
    with pytest.raises(ConfigError, match=r"are one tied weight.* or leave both whole with `ignore`"):
        trace(Repeated(), IMAGES, ("again",))
    network = Repeated()
    structure = trace(network, IMAGES, ("again", "narrow", "tied"))
    assert [group.name for group in structure.groups] == ["last"]
    assert structure.broken == {}
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros((1, *IMAGES)))
    assert CostModel.of(network, structure).macs(np.array([[7]]))[0] == counter.get_total_flops() // 2


def test_a_layer_that_runs_twice_has_one_gene_for_all_places() -> None:
    network = Repeated()
    structure = trace(network, IMAGES, ("narrow", "tied"))
    groups = {group.name: group for group in structure.groups}
    assert groups["first"].members == (("first", "out"), ("again", "out"), ("again", "in"), ("wide", "in"))
    assert difference(network.eval(), structure, narrowed(structure, 1), torch.randn((2, *IMAGES))) < 1e-5  # in 32 bits
