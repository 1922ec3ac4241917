"""Of networks drawn at random: no slice is wrong, and every count is that of the network that is built."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from drawn_networks_for_tests import IMAGES, STEPS, Drawn, drawn
from torch import nn

from emoprune.problems.networks.coupling.checking import difference
from emoprune.problems.networks.coupling.pruned_module import pruned_module, with_tensors
from emoprune.problems.networks.coupling.structure import Kept, Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.cost import CostModel

QUICK, MANY = 60, 500
EXACT = 1e-9  # in 64 bits: sums in another order stay below 1e-12, a wrong channel is of the order of 1


def narrowed(structure: Structure, draw: np.random.Generator) -> Kept:
    """Return some units of every group, two at least: a variance over one is none."""
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


def check_slices(seed: int) -> int:
    """Hold slices of one network to masked ones, and counts to what is built; return how many groups it has."""
    network = drawn(seed)
    structure = trace(drawn(seed).float(), IMAGES)
    assert structure.broken == {}, seed
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((3, *IMAGES), dtype=torch.float64, generator=generator)
    kept = narrowed(structure, np.random.default_rng(seed))
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
    assert all(check_slices(seed) for seed in range(QUICK, QUICK + MANY))


def test_a_step_alone_leaves_nothing_whole_but_the_outputs() -> None:
    assert isinstance(drawn(0), Drawn)
