"""Coupling groups: every channel in one group, sliced equals masked, counted equals built, and what is refused."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from zoo_for_tests import CLASSES, IMAGES, SOUND, conv_block, structure_of_zoo, zoo

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.process import structure_of
from emoprune.problems.networks.coupling.pruned_module import clone, pruned_module
from emoprune.problems.networks.coupling.structure import FIXED, Kept, Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.cost import CostModel


@pytest.fixture(scope="module", autouse=True)
def traced_here() -> None:
    """Trace networks in processes of their own, as everywhere but in other tests."""


def kept_sets(structure: Structure) -> st.SearchStrategy[list[np.ndarray]]:
    return st.tuples(
        *(
            st.sets(st.integers(0, units - 1), min_size=1).map(lambda chosen: np.array(sorted(chosen)))
            for units in structure.units
        )
    ).map(list)


def widths_of(kept: Kept) -> np.ndarray:
    return np.array([[len(units) for units in kept]])


@pytest.mark.parametrize("name", SOUND)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_sliced_network_gives_the_masked_networks_outputs_whatever_units_stay(name: str, data: st.DataObject) -> None:
    structure, network = structure_of_zoo(name), zoo(name).double()
    images = torch.randn((2, *IMAGES), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert difference(network, structure, data.draw(kept_sets(structure)), images) < 1e-9  # in 64 bits


@pytest.mark.parametrize("name", SOUND)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_counts_are_those_of_the_network_that_is_really_built(name: str, data: st.DataObject) -> None:
    structure, network = structure_of_zoo(name), zoo(name)
    kept = data.draw(kept_sets(structure))
    model, widths = CostModel.of(network, structure), widths_of(kept)
    built = pruned_module(network, structure, kept)
    assert model.parameters(widths)[0] == sum(each.numel() for each in built.parameters())
    assert model.bytes(widths)[0] == sum(each.numel() * each.element_size() for each in built.state_dict().values())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        built(torch.zeros((1, *IMAGES)))
    assert model.macs(widths)[0] == counter.get_total_flops() // 2
    assert model.macs_by_part(widths).sum() == model.macs(widths)[0]


@pytest.mark.parametrize("name", SOUND)
def test_every_channel_that_a_layer_puts_out_is_in_one_group_or_named_as_whole(name: str) -> None:
    structure = structure_of_zoo(name)
    whole = dict.fromkeys((each.path for each in structure.wholes), 0)
    for each in structure.wholes:
        whole[each.path] += each.channels
    for part in structure.weighted:
        assert part.outgoing is not None
        assert int((part.outgoing.groups == FIXED).sum()) == whole.get(part.path, 0)
        for number, group in enumerate(structure.groups):
            if (part.outgoing.groups == number).any():
                assert (part.path, "out") in group.members
    assert not structure.broken


@pytest.mark.parametrize("name", SOUND)
def test_groups_come_in_the_order_in_which_their_first_producers_run(name: str) -> None:
    structure = structure_of_zoo(name)
    order = [part.path for part in structure.parts]
    firsts = [order.index(group.producers[0]) for group in structure.groups]
    assert firsts == sorted(firsts)


def test_a_residual_sum_couples_the_stem_with_every_block_that_adds_to_it() -> None:
    groups = {group.name: group for group in structure_of_zoo("resnet").groups}
    assert {"stem.0", "block1.second.0"} <= set(groups["stem.0"].producers)
    assert set(groups["stem.0"].consumers) == {"block1.first.0", "block2.first.0", "block2.shortcut.0"}


def test_a_channel_of_a_grouped_convolution_goes_together_with_its_places_in_the_other_convolution_groups() -> None:
    structure = structure_of_zoo("regnet")
    groups = {group.name: group for group in structure.groups}
    assert groups["block1.first.0"].units == 16 // 4
    assert groups["block2.grouped.0"].units == 24 // 3


def test_a_depthwise_filter_goes_with_its_channel_even_where_a_channel_has_two() -> None:
    structure = structure_of_zoo("multiplied")
    part = structure.part("depthwise")
    assert part.depthwise
    assert part.outgoing is not None
    assert part.incoming is not None
    assert part.outgoing.units.tolist() == [unit for unit in part.incoming.units.tolist() for _ in range(2)]


def test_the_channels_of_a_concatenation_stay_apart_by_where_they_come_from() -> None:
    head = structure_of_zoo("densenet").part("head")
    assert head.incoming is not None
    assert np.unique(head.incoming.groups).tolist() == [0, 1, 2, 3]


def test_channels_that_are_shuffled_or_halved_stay_or_go_at_the_same_place_of_each_part() -> None:
    grouped = structure_of_zoo("shuffled").part("grouped.0")
    assert grouped.outgoing is not None
    assert grouped.outgoing.units.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    stem = structure_of_zoo("halved").part("stem.0")
    assert stem.outgoing is not None
    assert stem.outgoing.units.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_group_that_is_ignored_stays_whole_and_the_rest_is_sound() -> None:
    structure = trace(zoo("shuffled"), IMAGES, ["grouped.*"])
    assert not structure.broken
    assert [group.name for group in structure.groups] == ["first.0", "last.0"]
    assert next((each.path, each.reason) for each in structure.wholes) == ("grouped.0", "named in `ignore`")


def test_ignoring_one_layer_of_a_coupled_set_leaves_the_whole_set_whole_and_says_so_for_each_layer() -> None:
    structure = trace(zoo("resnet"), IMAGES, ["block1.second.0"])
    assert "stem.0" not in [group.name for group in structure.groups]
    assert {each.path for each in structure.wholes} >= {"stem.0", "block1.second.0"}


def test_a_pattern_that_matches_no_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"ignore: no layer of the network matches 'heads\.\*'"):
        trace(zoo("resnet"), IMAGES, ["heads.*"])


def test_the_structure_survives_json() -> None:
    structure = structure_of_zoo("densenet")
    again = Structure.from_json(structure.as_json())
    assert again.as_json() == structure.as_json()
    assert again.groups == structure.groups


def test_slicing_leaves_the_unpruned_network_as_it_was() -> None:
    network, structure = zoo("mobilenet"), structure_of_zoo("mobilenet")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    small = pruned_module(network, structure, [np.arange(1) for _ in structure.groups])
    small.requires_grad_(requires_grad=True)
    for parameter in small.parameters():
        if parameter.shape != network.get_parameter("head.bias").shape:
            nn.init.zeros_(parameter.data)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items() if "head" not in name)
    assert network.get_submodule("features.0.0").out_channels == 8


def test_a_clone_shares_tensors_but_not_modules() -> None:
    network = zoo("resnet")
    copy = clone(network)
    assert copy.get_parameter("head.weight") is network.get_parameter("head.weight")
    assert {id(each) for each in copy.modules()}.isdisjoint(id(each) for each in network.modules())


def test_a_hook_on_a_clone_does_not_run_in_the_network_it_was_cloned_from() -> None:
    network, ran = zoo("resnet"), []
    clone(network).get_submodule("head").register_forward_hook(lambda *_: ran.append(1))
    network(torch.zeros((1, *IMAGES)))
    assert not ran


@pytest.mark.parametrize(("units", "found"), [([], r"\[\]"), ([3, 3], r"\[3, 3\]"), ([0, 8], r"\[0, 8\]")])
def test_units_that_a_group_does_not_have_are_refused(units: list[int], found: str) -> None:
    structure = structure_of_zoo("resnet")
    kept = [np.array(units, dtype=np.int64), *list(structure.full)[1:]]
    with pytest.raises(ContractError, match=f"'stem.0': expected rising indices of 1 to 8 units.*{found}"):
        pruned_module(zoo("resnet"), structure, kept)


def test_tracing_keeps_no_network_alive() -> None:
    network = conv_and_head()
    trace(network, IMAGES)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def conv_and_head() -> nn.Module:
    return nn.Sequential(conv_block(1, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, CLASSES))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 3, padding=1)
        self.two.weight = self.one.weight
        self.head = nn.Linear(1, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(images)).mean((2, 3)))


class Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(images - images.mean()).mean((2, 3)))


class OfOne(Centred):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(images).mean((2, 3)).view(1, 4))


class Dropping(Centred):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(nn.functional.dropout(self.conv(images).mean((2, 3)), training=True))


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (Centred(), "its outputs for an image depend on the images beside it"),
        (OfOne(), "it runs on one image, but not on three: RuntimeError"),
        (Dropping(), "it gives other outputs each time it runs"),
        (Tied(), "'one.weight' and 'two.weight' are one tied weight"),
        (nn.Conv2d(3, 4, 3), r"cannot be run on one image of shape \(1, 28, 28\)"),
        (nn.Conv2d(1, 4, 3), r"one tensor of shape \(images, classes\), found a tensor of shape \(1, 4, 26, 26\)"),
    ],
)
def test_a_network_that_cannot_be_followed_is_refused_with_the_reason(network: nn.Module, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        trace(network, IMAGES)


def test_a_network_in_train_mode_is_traced_in_eval_mode_and_its_statistics_do_not_move() -> None:
    network = zoo("resnet").train()
    before = network.get_buffer("stem.1.running_mean").clone()
    assert trace(network, IMAGES).groups == structure_of_zoo("resnet").groups
    assert torch.equal(network.get_buffer("stem.1.running_mean"), before)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 5, 3, 4), nn.Conv2d(1, 3, 3, 4)
        self.head = nn.Linear(8 * 7 * 7, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.left(images), torch.relu(self.right(images))], 1).flatten(1))


def test_branches_that_are_concatenated_and_flattened_stay_apart() -> None:
    structure = trace(Branches(), IMAGES)
    assert [(group.name, group.units) for group in structure.groups] == [("left", 5), ("right", 3)]
    assert not structure.broken


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3), nn.Linear(6, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.stem(images)
        return self.head(self.conv(features).mean((2, 3))).detach()


def test_layers_that_gradients_do_not_reach_can_be_pruned_and_are_counted() -> None:
    network = Frozen().eval()
    structure = trace(network, IMAGES)
    assert [group.name for group in structure.groups] == ["stem", "conv"]
    full = np.array([structure.units])
    assert CostModel.of(network, structure).macs(full)[0] == 26 * 26 * 9 * 4 + 24 * 24 * 9 * 4 * 6 + 6 * CLASSES


@pytest.mark.timeout(100)
def test_a_fresh_process_finds_the_same_structure() -> None:
    found = structure_of("zoo_for_tests:network", IMAGES, [], 90.0)
    assert found.as_json() == structure_of_zoo("resnet").as_json()


FORWARD = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, images):
        {does}

def build():
    return Net()
"""


@pytest.mark.timeout(60)
def test_a_network_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless_network.py").write_text(FORWARD.format(does="time.sleep(600)"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"its coupling groups were not found within 2 s.*raise trace_limit"):
        structure_of("endless_network:build", IMAGES, [], 2.0)


@pytest.mark.timeout(100)
def test_a_network_that_takes_its_process_down_is_a_refusal_and_not_our_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deadly_network.py").write_text(FORWARD.format(does="os._exit(9)"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="the process that traced it ended with code 9"):
        structure_of("deadly_network:build", IMAGES, [], 90.0)
