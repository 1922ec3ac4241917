"""Where a network can be cut, which channels cross a cut, and parts with search spaces of about the same size."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo_for_tests import SOUND, structure_of_zoo, zoo

from emoprune.errors import ConfigError
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.subnetworks.chain import Chain
from emoprune.problems.networks.subnetworks.division import Division, divided


@cache
def chain_of(name: str) -> Chain:
    return Chain.of(zoo(name), structure_of_zoo(name))


def parts_of(name: str, parts: int) -> Division:
    groups = structure_of_zoo(name).groups
    return divided(chain_of(name), [float(group.units) for group in groups], parts)


def test_a_plain_network_can_be_cut_before_every_layer_and_a_residual_one_between_its_blocks() -> None:
    assert [cut.name for cut in chain_of("vgg").cuts] == ["1", "3", "5", "8"]
    assert [cut.name for cut in chain_of("resnet").cuts] == ["stem", "block1", "flatten"]


def test_a_cut_keeps_whole_what_lies_on_both_sides_of_it() -> None:
    names = [group.name for group in structure_of_zoo("resnet").groups]
    crossing = {cut.name: [names[group] for group in cut.crossing] for cut in chain_of("resnet").cuts}
    assert crossing["stem"] == crossing["block1"] == ["stem.0"]


@pytest.mark.parametrize("name", SOUND)
def test_at_every_cut_the_rest_of_the_network_needs_one_value_alone(name: str) -> None:
    made = zoo(name)
    seen: dict[str, Tensor] = {}
    for cut in chain_of(name).cuts:
        if cut.name in dict(made.named_modules()):
            made.get_submodule(cut.name).register_forward_hook(
                lambda *given, own=cut.name: seen.update({own: given[2]})
            )
    images = torch.randn((2, 1, 28, 28), generator=torch.Generator().manual_seed(1))
    whole = made(images)
    assert seen or name == "densenet"
    for own, value in seen.items():
        other = zoo(name)
        # With everything before the cut disturbed, the value at the cut alone brings back the outputs.
        other.get_submodule(own).register_forward_hook(lambda *_, value=value: value)
        torch.testing.assert_close(other(images * 2 + 1), whole)


@given(st.sampled_from(sorted(SOUND)), st.integers(1, 3))
def test_no_group_of_a_part_reaches_beyond_it_and_every_group_is_in_a_part_or_crosses_a_cut(
    name: str, parts: int
) -> None:
    try:
        division = parts_of(name, parts)
    except ConfigError:
        return
    chain = chain_of(name)
    inside = [group for part in division.parts for group in part.groups]
    assert len(division.parts) == parts
    assert sorted([*inside, *division.whole]) == list(range(len(chain.spans)))
    for part in division.parts:
        assert part.groups
        assert all(part.holds(step) for group in part.groups for step in chain.spans[group])
    cuts = [part.end for part in division.parts if part.end is not None]
    assert set(division.whole) == {group for cut in cuts for group in cut.crossing}


def test_one_part_is_the_whole_network() -> None:
    division = parts_of("resnet", 1)
    assert division.whole == ()
    assert division.parts[0].groups == tuple(range(len(structure_of_zoo("resnet").groups)))


def test_of_all_ways_to_cut_the_most_even_one_is_taken() -> None:
    chain, sizes = chain_of("vgg"), [8.0, 12.0, 12.0, 16.0]
    uneven = {
        cut.name: sum((sum(sizes[group] for group in part.groups) - 24.0) ** 2 for part in division.parts)
        for cut in chain.cuts[:3]
        if (division := _tried(chain, sizes, cut.name)) is not None
    }
    chosen = divided(chain, sizes, 2).parts[0].end
    assert chosen is not None
    assert uneven[chosen.name] == min(uneven.values())


def _tried(chain: Chain, sizes: list[float], name: str) -> Division | None:
    try:
        return divided(chain, sizes, 2, [name])
    except ConfigError:
        return None


def test_cuts_given_by_hand_are_taken_in_the_order_of_the_network() -> None:
    sizes = [1.0] * len(structure_of_zoo("mobilenet").groups)
    division = divided(chain_of("mobilenet"), sizes, 5, ["features.2", "features.1"])
    assert [part.end and part.end.name for part in division.parts] == ["features.1", "features.2", None]


def test_more_parts_than_can_be_cut_are_refused_with_the_legal_cuts() -> None:
    with pytest.raises(ConfigError, match=r"cannot be cut into 9 parts.*it can be cut after 1, 3, 5, 8"):
        parts_of("vgg", 9)


@pytest.mark.parametrize(
    ("cut", "complaint"),
    [
        ("block1.first", "after 'block1.first' more than one value is still needed.*cut after stem, block1, flatten"),
        ("block9", "runs no module 'block9'; it can be cut after stem"),
        ("stem", "the part before the first cut has no channels to prune"),
    ],
)
def test_a_cut_that_is_not_legal_is_refused_with_the_legal_cuts(cut: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        divided(chain_of("resnet"), [1.0] * 5, 2, [cut])


class Untraceable(nn.Module):
    """Decides by its values."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3), nn.Linear(4, 10)
        nn.init.constant_(self.first.bias, 99.0)  # it decides alike for every batch

    def forward(self, images: Tensor) -> Tensor:
        features = self.first(images).mean((2, 3))
        return self.last(features if float(features.sum()) > 0 else -features)


def test_a_network_that_cannot_be_taken_apart_is_refused() -> None:
    made = Untraceable().eval()
    with pytest.raises(ConfigError, match=r"cannot be split into a chain of parts.*search it whole with"):
        Chain.of(made, trace(made, (1, 8, 8)))


class Bypassed(nn.Module):
    """Its input is needed again at the very end: nowhere does everything pass through one value."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)
        self.last = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.last((self.second(torch.relu(self.first(images))) + images).flatten(1))


def test_a_network_without_a_cut_is_searched_in_one_part_alone() -> None:
    made = Bypassed().eval()
    structure = trace(made, (1, 8, 8))
    chain = Chain.of(made, structure)
    inner = [cut for cut in chain.cuts if cut.crossing]
    assert inner == []
    assert len(divided(chain, [4.0], 1).parts) == 1
    with pytest.raises(ConfigError, match="cannot be cut into 2 parts"):
        divided(chain, [4.0] * len(np.array(structure.units)), 2)
