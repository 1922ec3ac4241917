"""Networks that cannot be pruned safely are refused by the path of the module that is to blame."""

from __future__ import annotations

import pytest
import torch
from networks_for_tests import INPUT, architecture_of, network, stripes
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.architecture import trace
from emoprune.problems.networks.digits_network import digits_network
from emoprune.problems.networks.reading import check_faithful, layers_of, weights_of


class Shuffled(nn.Conv2d):
    """A convolution that does something else."""


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 3, padding=1)


class Skipping(nn.Sequential):
    def forward(self, flowing: torch.Tensor) -> torch.Tensor:
        return flowing


HEAD = (nn.Flatten(), nn.Linear(4 * 36, 3))


def before_head(*middle: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), *middle, *HEAD)


def tied() -> nn.Sequential:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    return before_head(nn.AdaptiveAvgPool2d(1), nn.Flatten(), first, second)


def used_twice() -> nn.Sequential:
    convolution = nn.Conv2d(4, 4, 1)
    return before_head(convolution, convolution)


def test_layers_of_nested_sequentials_lie_flat_with_their_paths() -> None:
    layers = layers_of(network())
    assert [layer.path for layer in layers][:9] == ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "1", "2"]
    assert [layer.path for layer in layers_of(digits_network())][:4] == ["conv1", "norm1", "relu1", "dropout1"]


def test_all_weighted_layers_but_the_last_may_shrink() -> None:
    architecture = architecture_of(network())
    assert [architecture.layers[position].path for position in architecture.prunable] == ["0.0", "0.3", "2"]
    assert architecture.widths == (6, 9, 7)
    assert architecture.classes == 3


def test_one_activation_module_may_stand_in_two_places() -> None:
    relu = nn.ReLU()
    layers = layers_of(before_head(relu, nn.Conv2d(4, 4, 1), relu))
    assert [layer.kind for layer in layers] == ["Conv2d", "ReLU", "Conv2d", "ReLU", "Flatten", "Linear"]


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (Residual(), "it is a Residual, which may mix channels"),
        (Skipping(*HEAD), "it is a Skipping"),
        (before_head(nn.Sequential(Residual())), r"module '1\.0' is a Residual"),
        (before_head(Shuffled(4, 4, 1)), "module '1' is a Shuffled"),
        (before_head(nn.ChannelShuffle(2)), "module '1' is a ChannelShuffle"),
        (before_head(nn.PReLU(4)), "module '1' is a PReLU"),
        (before_head(nn.Softmax(dim=1)), "module '1' is a Softmax"),
        (before_head(nn.GroupNorm(2, 4)), "module '1' is a GroupNorm"),
        (before_head(nn.ConvTranspose2d(4, 4, 1)), "module '1' is a ConvTranspose2d"),
        (before_head(nn.Conv2d(4, 4, 1, groups=2)), r"module '1' \(Conv2d\): expected groups=1, found groups=2"),
        (before_head(nn.BatchNorm2d(4, track_running_stats=False)), "module '1'.*track_running_stats=True"),
        (before_head(nn.MaxPool2d(2, return_indices=True)), "module '1'.*return_indices=False"),
        (before_head(nn.Flatten(2)), "module '1'.*start_dim=1 and end_dim=-1, found 2 and -1"),
        (before_head(nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))), "module '1' is a Parametrized"),
        (tied(), r"'3\.weight' and '4\.weight' share one weight"),
        (used_twice(), r"'1\.weight' and '2\.weight' share one weight"),
    ],
)
def test_a_network_that_cannot_be_pruned_safely_is_refused_by_path(made: nn.Module, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        layers_of(made)


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 4, 1), *HEAD), "BatchNorm2d '0' has no convolution"),
        (nn.Sequential(nn.Flatten(), nn.Linear(72, 3)), "expected at least two convolutions or linear layers, found 1"),
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 3, 1)), r"expected one output per class, found.*\(3, 6, 6\)"),
        (nn.Sequential(nn.Conv2d(2, 4, 1), nn.Linear(6, 3)), r"layer '1' \(Linear\) expects an input of 1 dimensions"),
        (nn.Sequential(nn.Conv2d(3, 4, 1), *HEAD), r"layer '0' \(Conv2d\) cannot take an input \(2, 6, 6\)"),
        (before_head(nn.Flatten(), nn.Linear(9, 9)), r"layer '2' \(Linear\) cannot take an input \(144,\)"),
        (before_head(nn.MaxPool2d(7)), r"layer '1' \(MaxPool2d\) cannot take an input \(4, 6, 6\)"),
    ],
)
def test_layers_that_do_not_fit_each_other_are_refused_by_path(made: nn.Module, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        trace(layers_of(made), INPUT)


def test_tracing_leaves_the_random_generator_alone() -> None:
    before = torch.get_rng_state()
    architecture_of(network())
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_of_another_precision_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'0\.0\.weight': expected 32-bit floats, found torch.float64"):
        weights_of(network().double())


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    broken = network()
    nn.init.constant_(broken.get_parameter("2.bias"), float("nan"))
    with pytest.raises(ConfigError, match=r"'2\.bias' holds NaN or infinities"):
        weights_of(broken)


def test_a_network_that_is_nothing_but_its_layers_passes_and_ends_in_eval_mode() -> None:
    made = network().train()
    check_faithful(made, stripes().train.images[:8])
    assert not made.training


def test_a_network_whose_outputs_overflow_is_refused() -> None:
    made = network()
    nn.init.constant_(made.get_parameter("6.weight"), 3e38)
    with pytest.raises(ConfigError, match="its outputs on training images are not finite"):
        check_faithful(made, stripes().train.images[:8])


@pytest.mark.parametrize("factor", [2.0, float("nan")])
def test_a_network_with_a_hook_that_changes_outputs_is_refused(factor: float) -> None:
    made = network()
    made.get_submodule("0.2").register_forward_hook(lambda module, given, output: output * factor)
    with pytest.raises(ConfigError, match=r"rebuilt from its layers it gives other outputs.*remove forward hooks"):
        check_faithful(made, stripes().train.images[:8])
