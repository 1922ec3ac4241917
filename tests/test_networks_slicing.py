"""A sliced network computes what the unpruned one computes with the other channels masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_for_tests import INPUT, architecture_of, network, tensors_of
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.architecture import build
from emoprune.problems.networks.slicing import slice_network
from emoprune.space import IntArray

# The position of each prunable layer and of the last layer before its channels are mixed or flattened.
LAST_OF_CHANNELS = {0: 2, 3: 6, 8: 11}
WIDTHS = (6, 9, 7)
IMAGES = torch.tensor(np.random.default_rng(8).normal(size=(5, *INPUT)))


def subsets(width: int) -> st.SearchStrategy[IntArray]:
    channels = st.sets(st.integers(0, width - 1), min_size=1)
    return channels.map(lambda chosen: np.array(sorted(chosen), dtype=np.int64))


def masked(kept: Sequence[IntArray]) -> torch.Tensor:
    """Run the unpruned network, layer by layer, and put zero where a channel was removed."""
    whole = build(architecture_of(network()).layers, tensors_of(network()))
    masks = dict(zip(LAST_OF_CHANNELS.values(), kept, strict=True))
    flowing = IMAGES
    for position, layer in enumerate(whole):
        flowing = layer(flowing)
        if position in masks:
            stays = torch.zeros(flowing.shape[1], dtype=torch.bool)
            stays[masks[position]] = True
            flowing = torch.where(stays.reshape(-1, *[1] * (flowing.ndim - 2)), flowing, 0.0)
    return flowing


def sliced(kept: Sequence[IntArray]) -> nn.Sequential:
    layers, tensors = slice_network(architecture_of(network()), tensors_of(network()), kept)
    return build(layers, tensors)


@given(st.tuples(*map(subsets, WIDTHS)))
@settings(max_examples=40, deadline=None)  # each builds networks; torch warms up in the first
def test_slicing_equals_masking_for_any_channels(kept: tuple[IntArray, ...]) -> None:
    # 64-bit floats: what remains is the order of summation
    torch.testing.assert_close(sliced(kept)(IMAGES), masked(kept), rtol=1e-12, atol=1e-12)


@given(st.tuples(*map(subsets, WIDTHS)))
@settings(max_examples=40, deadline=None)  # each builds networks; torch warms up in the first
def test_every_tensor_of_a_sliced_network_has_the_decoded_width(kept: tuple[IntArray, ...]) -> None:
    made = sliced(kept)
    first, second, third = map(len, kept)
    shapes = [tuple(made.get_parameter(f"{position}.weight").shape) for position in (0, 3, 8, 12)]
    assert shapes == [(first, 2, 3, 3), (second, first, 3, 2), (third, second * 3 * 4), (3, third)]
    assert [made.get_buffer(f"{position}.running_var").shape[0] for position in (1, 5, 9)] == [first, second, third]


def test_keeping_everything_gives_the_unpruned_network() -> None:
    everything = [np.arange(width) for width in WIDTHS]
    unpruned = network().double().eval()
    torch.testing.assert_close(sliced(everything)(IMAGES), unpruned(IMAGES), rtol=1e-12, atol=1e-12)


def test_changing_a_sliced_network_leaves_the_unpruned_tensors_alone() -> None:
    tensors = tensors_of(network())
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    architecture = architecture_of(network())
    layers, parts = slice_network(architecture, tensors, [np.arange(width) for width in WIDTHS])
    for parameter in (*build(layers, parts).parameters(), *build(layers, parts).buffers()):
        parameter.zero_()
    assert all(torch.equal(tensors[name], before[name]) for name in before)


@pytest.mark.parametrize("indices", [[], [3, 1], [2, 2], [-1, 2], [4, 6]])
def test_channels_that_cannot_be_kept_are_refused_by_the_layers_path(indices: list[int]) -> None:
    kept = [np.array(indices, dtype=np.int64), np.arange(9), np.arange(7)]
    with pytest.raises(ContractError, match=r"layer '0\.0': expected rising indices of 1 to 6 channels"):
        slice_network(architecture_of(network()), tensors_of(network()), kept)


def test_building_with_a_tensor_of_another_width_is_refused() -> None:
    layers, tensors = slice_network(architecture_of(network()), tensors_of(network()), [np.arange(3)] * 3)
    tensors["3.weight"] = tensors["3.weight"][:2]
    with pytest.raises(ContractError, match="the shapes the layers were decoded to"):
        build(layers, tensors)
