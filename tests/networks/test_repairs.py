"""Weights that stay make up for those that are zeroed: exactly, by patterns, and counted to the byte."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.repairs.armor import Armor, fitted
from emoprune.problems.networks.layers.repairs.contract import ThinnedLayer, repaired_weight
from emoprune.problems.networks.layers.repairs.least_squares import WeightsLeastSquares
from emoprune.problems.networks.layers.sample import weight_ratios
from emoprune.problems.networks.layers.treatments.packing import packed
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.layers.treatments.repaired import Repaired
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.standalone.unpack import _FORMS
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE
from emoprune.records import Split


def thinned(groups: int = 1, filters: int = 5, inputs: int = 12, samples: int = 40, seed: int = 1) -> ThinnedLayer:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((groups, filters, inputs), generator=generator, dtype=torch.float64)
    mixed = torch.randn((groups, inputs, inputs), generator=generator, dtype=torch.float64)
    read = torch.randn((groups, samples, inputs), generator=generator, dtype=torch.float64) @ mixed
    kept = torch.rand(weight.shape, generator=generator) < 0.5
    return ThinnedLayer("layer", weight, kept, read.transpose(1, 2) @ read / samples)


def test_least_squares_are_the_normal_equations_of_each_filter_s_own_weights() -> None:
    layer = thinned(groups=2)
    found = WeightsLeastSquares(ridge=0.0)(layer)
    for group, row in np.ndindex(2, 5):
        own = layer.kept[group, row].nonzero()[:, 0]
        among = layer.moments[group][own[:, None], own]
        solved = torch.linalg.solve(among, layer.moments[group][own] @ layer.weight[group, row])
        torch.testing.assert_close(found[group, row, own], solved, rtol=1e-7, atol=1e-9)
        assert not found[group, row, ~layer.kept[group, row]].any()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), samples=st.integers(1, 30), ridge=st.sampled_from([0.0, 1e-4, 1.0]))
def test_with_any_number_of_samples_outputs_are_never_further_off(seed: int, samples: int, ridge: float) -> None:
    layer = thinned(samples=samples, seed=seed)
    plain = layer.loss(layer.weight * layer.kept)
    assert layer.loss(WeightsLeastSquares(ridge)(layer)) <= plain * (1 + 1e-9) + 1e-12


def test_a_dead_channel_and_a_filter_of_zeros_stay_as_they_are() -> None:
    layer = thinned(samples=60)
    layer.moments[:, 3] = 0
    layer.moments[:, :, 3] = 0
    layer.weight[:, 2] = 0
    layer.kept[:, :, 3] = True
    found = WeightsLeastSquares()(layer)
    assert torch.equal(found[:, :, 3], layer.weight[:, :, 3])
    assert not found[:, 2].any()
    assert layer.loss(WeightsLeastSquares(0.0)(layer)) > 0


def test_a_repair_that_brings_zeros_back_is_a_broken_promise() -> None:
    with pytest.raises(ContractError, match=r"layer 'layer': expected zeroed weights to stay zero"):
        repaired_weight(lambda layer: layer.weight, thinned())


def test_repaired_weights_are_numbers_that_are_stored() -> None:
    part, weight = convolution()
    treatment = Repaired(WeightShares.of((0.5, 1.0)), WeightsLeastSquares()).storing(torch.bfloat16)
    treated = treatment.treated(part, weight, treatment.ranked(part, weight.abs()), 0)
    assert torch.equal(treated, treated.bfloat16().float())


# ---- factors around a pattern


def matrix(filters: int, inputs: int, m: int, n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((filters, inputs), generator=generator, dtype=torch.float64)
    squares = torch.rand(inputs, generator=generator, dtype=torch.float64)
    order = (weight.square() * squares).reshape(filters, -1, m).argsort(dim=-1, descending=True).argsort(dim=-1)
    return weight, (order < n).reshape(weight.shape), squares


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(8, 16, 4, 2, 4), (12, 12, 3, 1, 6), (10, 20, 5, 2, 5)]))
def test_the_error_of_factors_never_rises_and_exactly_n_of_m_stay(
    seed: int, shape: tuple[int, int, int, int, int]
) -> None:
    filters, inputs, m, n, block = shape
    weight, kept, squares = matrix(filters, inputs, m, n, seed)
    found = fitted(weight, kept, squares, block=block, m=m, rounds=4)
    assert all(after <= before for before, after in zip(found.losses, found.losses[1:], strict=False))
    assert found.losses[-1] < found.losses[0]
    assert float(((found.product - weight).square() * squares).sum()) == pytest.approx(found.losses[-1])
    assert ((found.core != 0).reshape(filters, -1, m).sum(dim=-1) <= n).all()


def test_one_group_of_the_core_is_solved_as_by_trying_every_pattern() -> None:
    weight, kept, squares = matrix(4, 4, 4, 2)
    squares = squares + 0.1
    found = fitted(weight, kept, squares, block=4, m=4, rounds=60)
    off = ((found.product - weight).square() * squares).sum()
    outer, inner = found.outer[0], found.inner[0] * squares.sqrt()
    for row in range(4):
        for places in combinations(range(4), 2):
            core = found.core.clone()
            core[row] = 0
            rest = (weight * squares.sqrt() - outer @ core @ inner).reshape(-1)
            columns = torch.stack([(outer[:, row, None] * inner[place]).reshape(-1) for place in places], dim=1)
            solution = torch.linalg.lstsq(columns, rest.unsqueeze(1)).solution
            assert (rest - (columns @ solution)[:, 0]).square().sum() >= off * (1 - 1e-3)


def test_more_patterns_than_can_be_tried_keep_their_places_and_get_better_values() -> None:
    weight, kept, squares = matrix(16, 16, 16, 8)  # 12,870 patterns
    found = fitted(weight, kept, squares, block=16, m=16, rounds=3)
    assert ((found.core != 0) <= kept).all()
    assert found.losses[-1] < found.losses[0]


def test_inputs_that_are_always_zero_and_zero_rows_have_finite_factors() -> None:
    weight, kept, squares = matrix(8, 8, 4, 2)
    squares[:4] = 0
    weight[0] = 0
    found = fitted(weight, kept, squares, block=4, m=4, rounds=3)
    assert all(torch.isfinite(own).all() for own in (found.outer, found.core, found.inner))


def convolution() -> tuple[Part, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return Part("layer", "Conv2d", None, None, kernel=9), torch.randn((32, 16, 3, 3), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_factors_are_counted_in_weights_and_bytes_and_packed_to_the_bit(dtype: torch.dtype) -> None:
    part, weight = convolution()
    weight = weight.to(dtype).float()
    treatment = Repaired(Patterns(4), Armor(block=8, rounds=2)).storing(dtype)
    ranks = treatment.ranked(part, weight.abs())
    plain, left = treatment.base.left(part, tuple(weight.shape), 1), treatment.left(part, tuple(weight.shape), 1)
    around = 8 * (32 + 16 * 9)
    assert left.nonzeros == plain.nonzeros + around
    assert left.stored_bytes == plain.stored_bytes + dtype.itemsize * around
    treated = treatment.treated(part, weight, ranks, 1)
    made = packed(treatment, part, weight, treated, 1)
    assert made.form == "wrapped"
    stored = made.tensors(dtype)
    assert sum(own.nbytes for own in stored.values()) == left.stored_bytes
    arrays = {role: (own.float() if own.is_floating_point() else own).numpy() for role, own in stored.items()}
    unfolded = _FORMS["wrapped"](made.facts, arrays)
    assert unfolded.tobytes() == treated.numpy().tobytes()
    halves = treatment.base.treated(part, weight, ranks, 1)
    assert (treated - weight).square().sum() < (halves - weight).square().sum()


def test_factors_that_take_more_than_the_layer_leave_it_whole() -> None:
    part, weight = Part("layer", "Linear", None, None), torch.randn(8, 8)
    treatment = Repaired(Patterns(4), Armor(block=8))
    assert treatment.left(part, (8, 8), 1).nonzeros == 64
    assert treatment.treated(part, weight, treatment.ranked(part, weight.abs()), 1) is weight


@pytest.mark.parametrize(("filters", "channels"), [(8, 10), (7, 16), (8, 6)])
def test_a_width_that_m_does_not_divide_gets_zeros_without_factors(filters: int, channels: int) -> None:
    part, weight = Part("layer", "Linear", None, None), torch.randn(filters, channels)
    treatment = Repaired(Patterns(4), Armor())
    ranks = treatment.ranked(part, weight.abs())
    assert treatment.left(part, (filters, channels), 1) == treatment.base.left(part, (filters, channels), 1)
    expected = treatment.base.treated(part, weight, ranks, 1)
    assert torch.equal(treatment.treated(part, weight, ranks, 1), expected)


# ---- in the problem


def prepared(path: Path, **options: Any) -> Any:
    problem = weight_ratios(**options)
    problem.prepare(path, 1)
    problem.setup("cpu", 1)
    return problem


@pytest.mark.slow  # trains the network for digits
def test_a_repaired_network_predicts_more_like_the_unpruned_one_at_the_same_size(tmp_path: Path) -> None:
    rows = {}
    for repair in ("none", "least-squares"):
        own = {"network": "digits", "data": "digits", "shares": [0.2, 1.0], "references": ["uniform"], "repair": repair}
        problem = WeightRatios(**own, objectives=["kl", "bytes"])
        problem.prepare(tmp_path / repair, 1)
        problem.setup("cpu", 1)
        genome = problem.space.full[np.newaxis] * 0
        rows[repair] = problem.evaluate(genome, np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]
    assert rows["least-squares"][0] < 0.8 * rows["none"][0]
    assert rows["least-squares"][1] == rows["none"][1]


def roomy() -> nn.Module:
    """Return a network with a layer that is worth factors."""
    layers = nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(32, 10))


@pytest.mark.slow  # loads what was written in a fresh process
def test_a_network_with_factors_is_exported_in_the_bytes_that_were_counted_to_the_bit(
    tmp_path: Path,
) -> None:
    own = {**SAMPLE, "network": f"{__name__}:roomy", "pattern": "n:m", "references": ["uniform"]}
    problem = WeightRatios(**own, repair={"name": "armor", "rounds": 2}, objectives=["kl", "bytes"])
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genome = problem.space.full.copy()
    genome[[part.path for part in problem._levels.parts].index("2")] = 1
    described = problem.export_as(genome, tmp_path, ("packed",), verify=True)
    plan = json.loads((tmp_path / "packed.json").read_text())
    assert plan["layers"]["2.weight"]["form"] == "wrapped"
    row: Any = problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)[0]
    assert plan["payload_bytes"] == row[1]
    assert described["packed tensors the same to the bit"] == 6


def test_factors_without_a_pattern_are_refused() -> None:
    with pytest.raises(ConfigError, match="armor goes with pattern: n:m alone"):
        weight_ratios(compensation="armor")


def test_weights_between_factors_are_not_trained(tmp_path: Path) -> None:
    problem = prepared(tmp_path, compensation={"name": "armor", "rounds": 1})
    with pytest.raises(ConfigError, match="cannot be trained as they are stored"):
        problem.recover(problem.space.full * 0, tmp_path / "out", 1)


def test_m_below_n_has_no_name_and_m_of_one_is_refused() -> None:
    assert Patterns(5).labels == ("1:5", "2:5", "3:5", "4:5", "5:5")
    with pytest.raises(ConfigError, match="m: expected 2 to 64, found 1"):
        Patterns(1)
    assert WeightShares().labels[-1] == "100 %"
