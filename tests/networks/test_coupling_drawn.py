"""Of networks drawn at random: no slice is wrong, and every count is that of the network that is built."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_networks_for_tests import IMAGES, STEPS, cut_of, drawn, unread

from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.cost import CostModel

QUICK, MANY = 80, 420
EXACT = 1e-9  # in 64 bits: sums in another order stay below 1e-12, a wrong channel is of the order of 1


def check_slices(seed: int) -> int:
    """Hold slices of one network to masked ones, and counts to what is built; return how many groups it has."""
    network = drawn(seed)
    structure = trace(drawn(seed).float(), IMAGES)
    assert structure.broken == {}, seed
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((3, *IMAGES), dtype=torch.float64, generator=generator)
    kept = cut_of(structure, seed)
    sliced = pruned_module(network, structure, kept)
    assert difference(network, structure, kept, images) < EXACT, seed
    if not network.over_channels:
        expected = unread(network, structure, kept)(images)
        assert float((sliced(images) - expected).abs().max()) < EXACT * float(expected.abs().max()), seed
    model, widths = CostModel.of(network, structure), np.array([[len(units) for units in kept]], dtype=np.int64)
    assert model.parameters(widths)[0] == sum(each.numel() for each in sliced.parameters()), seed
    assert model.bytes(widths)[0] == sum(each.numel() * each.element_size() for each in sliced.state_dict().values())
    return len(structure.groups)


def test_slices_of_drawn_networks_give_the_masked_networks_outputs() -> None:
    groups = [check_slices(seed) for seed in range(QUICK)]
    assert np.mean(groups) > 2
    used = {type(step) for seed in range(QUICK) for step in drawn(seed).steps}
    assert used == set(STEPS)


@pytest.mark.slow
def test_slices_of_many_drawn_networks_give_the_masked_networks_outputs() -> None:
    groups = [check_slices(seed) for seed in range(QUICK, QUICK + MANY)]
    assert groups.count(0) <= MANY / 50  # of a few drawn networks all channels are outputs, or one's


def test_what_stays_whole_in_drawn_networks_is_a_single_channel_an_output_or_a_map() -> None:
    expected = (
        "network's outputs",
        "no layer reads them as its channels",
        "can only go all together",
        "one channel is used for several",
        "grouped transposed",
    )
    for seed in range(QUICK, QUICK + 30):
        for whole in trace(drawn(seed).float(), IMAGES).wholes:
            assert any(reason in whole.reason for reason in expected), (seed, whole)
