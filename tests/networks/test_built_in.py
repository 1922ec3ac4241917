"""The built-in networks: what they are made of, that tools can read them, and that training them is worth it."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.unpruned.built_in.catalogue import NETWORKS
from emoprune.problems.networks.unpruned.built_in.fashion_mobilenet import InvertedResidual
from emoprune.problems.networks.unpruned.built_in.fashion_resnet import ResidualBlock
from emoprune.problems.networks.unpruned.built_in.lenet5_mini import lenet5_mini

SIDES = {"digits": 8, "lenet5-mini": 32}


def images(name: str, count: int = 3) -> torch.Tensor:
    side = SIDES.get(name, 28)
    return torch.randn((count, 1, side, side), generator=torch.Generator().manual_seed(1))


def made(name: str) -> nn.Module:
    with seeded(1):
        return NETWORKS[name].make()


def counts(name: str, *kinds: type[nn.Module]) -> list[int]:
    modules = list(made(name).modules())
    return [sum(type(module) is kind for module in modules) for kind in kinds]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_one_finite_output_per_class(name: str) -> None:
    outputs = made(name).eval()(images(name))
    assert outputs.shape == (3, 10)
    assert torch.isfinite(outputs).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_symbolic_tracing_reads_a_network_without_changing_it(name: str) -> None:
    network = made(name).eval()
    traced = fx.symbolic_trace(network)
    assert torch.equal(traced(images(name)), network(images(name)))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_does_nothing_in_place(name: str) -> None:
    network, given = made(name), images(name)
    before = given.clone()
    network(given)
    assert torch.equal(given, before)
    assert not any(getattr(module, "inplace", False) for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    network = made(name)
    with seeded(1):  # for dropout
        nn.functional.cross_entropy(network(images(name, 16)), torch.arange(16) % 10).backward()
    # Behind a ReLU single weights may get none, a whole tensor may not.
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_gives_the_same_fresh_weights(name: str) -> None:
    first, second = made(name).state_dict(), made(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_vgg_is_a_chain_of_eight_convolutions_with_batch_norm() -> None:
    assert counts("fashion-vgg", nn.Conv2d, nn.BatchNorm2d, nn.Linear) == [8, 8, 1]
    widths = [module.out_channels for module in made("fashion-vgg").modules() if isinstance(module, nn.Conv2d)]
    assert widths == [32, 32, 64, 64, 64, 128, 128, 128]
    assert isinstance(made("fashion-vgg"), nn.Sequential)


def test_the_resnet_has_twenty_layers_and_projects_where_width_or_size_change() -> None:
    network = made("fashion-resnet")
    blocks = [module for module in network.modules() if isinstance(module, ResidualBlock)]
    projected = [isinstance(block.shortcut, nn.Sequential) for block in blocks]
    assert projected == [False, False, False, True, False, False, True, False, False]
    convolutions, linear = counts("fashion-resnet", nn.Conv2d, nn.Linear)
    assert convolutions - sum(projected) + linear == 20


def test_the_mobilenet_filters_each_channel_by_itself_and_adds_only_what_has_one_shape() -> None:
    blocks = [module for module in made("fashion-mobilenet").modules() if isinstance(module, InvertedResidual)]
    assert [block.is_residual for block in blocks] == [True, False, True, False, True, False, True]
    depthwise = [block.depthwise[0] for block in blocks]
    assert all(isinstance(conv, nn.Conv2d) and conv.groups == conv.in_channels for conv in depthwise)
    assert counts("fashion-mobilenet", nn.ReLU6, nn.ReLU) == [2 + 2 * len(blocks), 0]


def test_lenet5_mini_has_the_shapes_of_the_paper() -> None:
    shapes = [tuple(weight.shape) for name, weight in lenet5_mini().named_parameters() if name.endswith("weight")]
    assert shapes == [(10, 1, 5, 5), (10, 10, 5, 5), (10, 10, 5, 5), (10, 10), (10, 10)]
    assert lenet5_mini()[:8](torch.zeros(1, 1, 32, 32)).shape == (1, 10, 1, 1)
