"""Treatments of single layers: what stays, what it takes to store, and that it can be unfolded again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from zoo_for_tests import bench_of, structure_of_zoo

from emoprune import plugins
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.saliencies.of_networks import network_scores
from emoprune.problems.networks.layers.treatments.bits import Rounding, codes_and_scales
from emoprune.problems.networks.layers.treatments.contract import Treatment
from emoprune.problems.networks.layers.treatments.packing import packed
from emoprune.problems.networks.layers.treatments.patterns import Patterns
from emoprune.problems.networks.layers.treatments.ratios import WeightShares
from emoprune.problems.networks.standalone.unpack import unpack

CONV = Part("conv", "Conv2d", None, None)
FLOATS: list[Treatment] = [WeightShares(), Patterns(4), Patterns(3), Rounding()]
TREATMENTS = [*FLOATS, *(each.storing(torch.bfloat16) for each in FLOATS)]

weights = st.tuples(st.integers(1, 9), st.integers(1, 11), st.sampled_from([1, 3]), st.integers(0, 10**6)).map(
    lambda drawn: torch.randn(
        (drawn[0], drawn[1], drawn[2], drawn[2]), generator=torch.Generator().manual_seed(drawn[3])
    )
)


def treated(treatment: Treatment, weight: torch.Tensor, level: int) -> torch.Tensor:
    """Treat a convolution's weight, its magnitudes being the scores."""
    return treatment.treated(CONV, weight, treatment.ranked(CONV, weight.abs()), level)


@pytest.mark.parametrize("treatment", TREATMENTS, ids=str)
@settings(max_examples=40, deadline=None)
@given(weight=weights, data=st.data())
def test_what_is_counted_is_what_is_left_and_what_is_packed(
    treatment: Treatment, weight: torch.Tensor, data: st.DataObject
) -> None:
    level = data.draw(st.integers(0, len(treatment.labels) - 1))
    made = treated(treatment, weight, level)
    left = treatment.left(CONV, tuple(weight.shape), level)
    if not isinstance(treatment, Rounding):
        assert int((made != 0).sum()) == left.nonzeros
        assert torch.equal(made[made != 0], weight[made != 0])
    stored = packed(treatment, CONV, weight, made, level).tensors(treatment.dtype)
    assert sum(own.nbytes for own in stored.values()) == left.stored_bytes
    assert left.stored_bytes <= weight.numel() * treatment.dtype.itemsize


@pytest.mark.parametrize("treatment", TREATMENTS, ids=str)
def test_the_highest_level_changes_nothing_and_every_level_below_leaves_less(treatment: Treatment) -> None:
    weight = torch.randn((8, 12, 3, 3), generator=torch.Generator().manual_seed(1))
    highest = len(treatment.labels) - 1
    assert torch.equal(treated(treatment, weight, highest), weight)
    sizes = [treatment.left(CONV, (8, 12, 3, 3), level).stored_bytes for level in range(highest + 1)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == weight.numel() * treatment.dtype.itemsize


@pytest.mark.parametrize("treatment", TREATMENTS, ids=str)
def test_packed_weights_unfold_to_exactly_the_treated_ones(treatment: Treatment, tmp_path: Path) -> None:
    weight = torch.randn((6, 10, 3, 3), generator=torch.Generator().manual_seed(2)).to(treatment.dtype).float()
    for level in range(len(treatment.labels)):
        expected = treated(treatment, weight, level)
        made = packed(treatment, CONV, weight, expected, level)
        tensors = {f"conv.weight::{name}": own for name, own in made.tensors(treatment.dtype).items()}
        save_file({**tensors, "conv.bias": torch.ones(6)}, tmp_path / "packed.safetensors")
        layers = {"layers": {"conv.weight": {"form": made.form, **made.facts}}}
        (tmp_path / "packed.json").write_text(json.dumps(layers), encoding="utf-8")
        unfolded = unpack(tmp_path)
        assert unfolded["conv.weight"].numpy().tobytes() == expected.numpy().tobytes()
        assert torch.equal(unfolded["conv.bias"], torch.ones(6))


@pytest.mark.parametrize("treatment", TREATMENTS, ids=str)
def test_no_zero_below_the_highest_level_has_a_sign(treatment: Treatment) -> None:
    weight = torch.full((4, 8, 1, 1), -0.0)
    weight[:, 0] = -1.0
    for level in range(len(treatment.labels) - 1):
        made = treated(treatment, weight, level)
        assert not bool(torch.signbit(made[made == 0]).any())


def test_rounding_that_would_take_more_than_the_floats_is_stored_as_floats() -> None:
    weight = torch.tensor([0.3, -0.7]).view(2, 1, 1, 1)
    assert Rounding().left(CONV, (2, 1, 1, 1), 0).stored_bytes == 8
    assert packed(Rounding(), CONV, weight, treated(Rounding(), weight, 0), 0).form == "dense"


@pytest.mark.parametrize("treatment", [WeightShares(), Patterns(4)], ids=str)
def test_a_layers_memory_order_stays_what_it_was(treatment: Treatment) -> None:
    weight = torch.randn((8, 12, 3, 3)).contiguous(memory_format=torch.channels_last)
    assert treated(treatment, weight, 0).is_contiguous(memory_format=torch.channels_last)


def test_a_share_is_taken_as_the_decimal_that_was_written() -> None:
    treatment = WeightShares.of([0.1, 0.9, 1])
    assert [treatment.left(CONV, (1, 10, 1, 1), level).nonzeros for level in range(3)] == [1, 9, 10]
    assert treatment.left(CONV, (100, 1, 1, 1), 1).nonzeros == 90


def test_a_share_so_small_that_it_would_empty_the_layer_keeps_one_weight() -> None:
    assert WeightShares.of([0.001, 1]).left(CONV, (2, 2, 1, 1), 0).nonzeros == 1


def test_the_best_weights_stay_and_of_equal_ones_the_first() -> None:
    weight, scores = torch.arange(1.0, 7.0).view(1, 6, 1, 1), torch.tensor([5.0, 1, 5, 5, 0, 1]).view(1, 6, 1, 1)
    treatment = WeightShares.of([0.5, 1])
    kept = treatment.treated(CONV, weight, treatment.ranked(CONV, scores), 0)
    assert kept.flatten().tolist() == [1, 0, 3, 4, 0, 0]


def test_two_of_four_keeps_the_two_largest_of_every_four_incoming_channels_and_the_odd_ones() -> None:
    weight = torch.tensor([[1.0, -4, 3, 2, 9, 8, 7, 6, 0.5]]).view(1, 9, 1, 1)
    kept = treated(Patterns(4), weight, 1)
    assert kept.flatten().tolist() == [0, -4, 3, 0, 9, 8, 0, 0, 0.5]


@settings(max_examples=40, deadline=None)
@given(weight=weights, bits=st.sampled_from([2, 3, 4, 5, 6, 7, 8]))
def test_rounding_is_off_by_at_most_half_a_step_and_meets_each_channels_largest_weight(
    weight: torch.Tensor, bits: int
) -> None:
    codes, scales = codes_and_scales(CONV, weight, bits)
    rounded = codes.float() * scales
    assert int(codes.abs().max()) <= 2 ** (bits - 1) - 1
    assert bool(((rounded - weight).abs() <= 0.5001 * scales).all())
    for own, other in zip(rounded.flatten(1), weight.flatten(1), strict=True):
        assert float(own.abs().max()) == pytest.approx(float(other.abs().max()), rel=1e-5)


def test_a_channel_of_zeros_stays_zero() -> None:
    assert torch.equal(Rounding().treated(CONV, torch.zeros(2, 3, 1, 1), torch.empty(0), 0), torch.zeros(2, 3, 1, 1))


@pytest.mark.parametrize("shares", [[], [1], [0.5], [0, 1], [0.5, 0.4, 1], [0.5, 1, 1.5]])
def test_shares_that_do_not_rise_to_one_are_refused(shares: list[float]) -> None:
    with pytest.raises(ConfigError, match="shares: expected rising numbers above 0 that end with 1"):
        WeightShares.of(shares)


@pytest.mark.parametrize("bits", [[], [32], [4], [1, 32], [4, 3, 32], [9, 32], [4, 16]])
def test_bits_that_do_not_rise_to_32_are_refused(bits: list[int]) -> None:
    with pytest.raises(ConfigError, match="bits: expected rising numbers from 2 to 8 and then 32"):
        Rounding.of(bits)


@pytest.mark.parametrize("m", [1, 65])
def test_an_m_that_makes_no_pattern_is_refused(m: int) -> None:
    with pytest.raises(ConfigError, match="m: expected 2 to 64"):
        Patterns(m)


def test_a_packed_layer_of_another_size_than_counted_is_refused() -> None:
    weight = torch.ones(4, 4, 1, 1)
    with pytest.raises(ContractError, match="bytes were counted"):
        packed(Miscounting(), CONV, weight, weight, 0)


class Miscounting(WeightShares):
    def left(self, part: Part, shape: tuple[int, ...], level: int) -> object:  # type: ignore[override]  # wrong on purpose
        left = WeightShares.left(self, part, shape, level)
        return type(left)(left.nonzeros, left.stored_bytes - 1)


def scores_by(name: str, evidence: Evidence) -> dict[str, torch.Tensor]:
    return network_scores(plugins.method("saliency", name, "weight-ratios"), evidence)


@pytest.mark.parametrize("name", plugins.serving("saliency", "weight-ratios"))
@pytest.mark.parametrize("network", ["vgg", "mobilenet", "regnet", "convnext", "multiplied"])
def test_every_saliency_scores_every_weight_and_leaves_the_network_alone(name: str, network: str) -> None:
    bench = bench_of(network, 8)
    before = {key: tensor.clone() for key, tensor in bench.network.state_dict().items()}
    evidence = Evidence(bench.network, bench.structure, bench.calibration, 3)
    scores = scores_by(name, evidence)
    for part in structure_of_zoo(network).weighted:
        weight = bench.network.get_parameter(f"{part.path}.weight")
        assert scores[part.path].shape == weight.shape
        assert bool(torch.isfinite(scores[part.path]).all())
        assert weight.grad is None
    assert all(torch.equal(before[key], tensor) for key, tensor in bench.network.state_dict().items())
    again = scores_by(name, evidence)
    assert all(torch.equal(scores[path], again[path]) for path in scores)


def test_an_input_that_is_always_zero_makes_the_weights_that_read_it_worthless() -> None:
    bench = bench_of("vgg", 8)
    bench.network.get_parameter("0.1.weight").data[3] = 0
    bench.network.get_parameter("0.1.bias").data[3] = 0
    evidence = Evidence(bench.network, bench.structure, bench.calibration, 3)
    assert float(scores_by("input-scaled", evidence)["2.0"][:, 3].abs().max()) == 0
    assert float(scores_by("magnitude", evidence)["2.0"][:, 3].abs().max()) > 0


def test_a_saliency_that_is_not_known_or_breaks_its_promise_is_refused() -> None:
    bench = bench_of("vgg", 8)
    evidence = Evidence(bench.network, bench.structure, bench.calibration, 3)
    with pytest.raises(ConfigError, match="no saliency is called 'magnitud'; did you mean 'magnitude'"):
        scores_by("magnitud", evidence)
    with pytest.raises(ContractError, match="looks at a layer's norms without saying so; put 'norms' into its `needs`"):
        network_scores(lambda layer: layer.norms, evidence)
    with pytest.raises(ContractError, match=r"layer '0\.0': expected scores in the weight's shape .*, found \(3,\)"):
        network_scores(lambda _layer: torch.ones(3), evidence)
