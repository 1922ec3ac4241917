"""What every compensation promises, on networks with every kind of coupling."""

from __future__ import annotations

import pickle
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_for_tests import SOUND, bench_of

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters, as_weight, inputs_of
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.channels.compensations.contract import Compensation, Statistics
from emoprune.problems.networks.channels.compensations.least_squares import LeastSquares
from emoprune.problems.networks.channels.compensations.merge import Merge
from emoprune.problems.networks.channels.compensations.mfac import MFAC
from emoprune.problems.networks.channels.slicer import Slicer, touching
from emoprune.problems.networks.coupling.pruned_module import pruned_module, tensors_of, with_tensors
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.taxonomy import LEAVES
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.unpruned.built_in.fashion_vgg import fashion_vgg

COMPENSATIONS: dict[str, Compensation] = {
    "least-squares": LeastSquares(),
    "least-squares-without-bias": LeastSquares(shift_bias=False),
    "merge": Merge(places_per_image=16),
    "mfac": MFAC(gradients=8),
    "mfac-separate": MFAC(gradients=8, update="separate"),
}
cases = pytest.mark.parametrize(("network", "name"), [(net, name) for net in SOUND for name in COMPENSATIONS])


@cache
def bench(network: str) -> Bench:
    return bench_of(network, images=24)


def evidence_of(network: str) -> Evidence:
    own = bench(network)
    return Evidence(own.network, own.structure, own.calibration, seed=3)


@cache
def statistics(network: str, name: str) -> Statistics:
    return COMPENSATIONS[name].statistics(evidence_of(network))


def drawn_kept(network: str, rng: np.random.Generator) -> Kept:
    """Any units of every coupling group, at least one."""
    kept = []
    for units in bench(network).structure.units:
        width = int(rng.integers(1, units + 1))
        kept.append(np.sort(rng.choice(units, size=width, replace=False)))
    return kept


def compensated(network: str, name: str, kept: Kept) -> dict[str, torch.Tensor]:
    changed: dict[str, torch.Tensor] = {}
    for part in bench(network).structure.parts:
        own = tensors_of(bench(network).network, part)
        changed |= COMPENSATIONS[name].tensors(part, own, kept, statistics(network, name))
    return changed


@cases
def test_changed_tensors_have_the_sliced_shapes_and_the_network_runs(network: str, name: str) -> None:
    unpruned = bench(network).network
    for seed in range(4):
        kept = drawn_kept(network, np.random.default_rng(seed))
        sliced = pruned_module(unpruned, bench(network).structure, kept)
        changed = compensated(network, name, kept)
        assert changed
        for tensor_name, tensor in changed.items():
            expected = sliced.state_dict()[tensor_name]
            assert tensor.shape == expected.shape
            assert tensor.dtype == expected.dtype
            assert torch.isfinite(tensor).all()
        with torch.no_grad():
            outputs = with_tensors(sliced, changed)(bench(network).calibration.batches[0])
        assert torch.isfinite(outputs).all()


@cases
def test_only_layers_that_lose_inputs_change_and_all_of_them_do(network: str, name: str) -> None:
    structure = bench(network).structure
    kept = [np.arange(max(1, units // 2)) for units in structure.units]
    parts = [part for part in readers(structure) if inputs_of(part, kept).going.size]
    expected = {f"{part.path}.weight" for part in parts}
    if name.startswith("least-squares"):  # transposed convolutions are left alone by it, and said so
        expected = {f"{part.path}.weight" for part in parts if not part.kind.startswith("ConvTranspose")}
    assert {key for key in compensated(network, name, kept) if key.endswith(".weight")} == expected


@cases
def test_nothing_changes_at_full_width(network: str, name: str) -> None:
    assert compensated(network, name, bench(network).structure.full) == {}


@cases
def test_a_layer_depends_on_nothing_but_the_groups_that_touch_it(network: str, name: str) -> None:
    structure = bench(network).structure
    kept, other = (drawn_kept(network, np.random.default_rng(seed)) for seed in (1, 2))
    for part in structure.weighted:
        mixed = [own if group in touching(part) else other[group] for group, own in enumerate(kept)]
        own = tensors_of(bench(network).network, part)
        mine = {key: array for key, array in statistics(network, name).items() if key.startswith(f"{part.path}.")}
        found = COMPENSATIONS[name].tensors(part, own, kept, statistics(network, name))
        again = COMPENSATIONS[name].tensors(part, own, mixed, mine)
        assert found.keys() == again.keys()
        assert all(torch.equal(found[key], again[key]) for key in found)


@cases
def test_statistics_are_plain_arrays_named_by_parts_and_the_same_every_time(network: str, name: str) -> None:
    found = statistics(network, name)
    paths = {part.path for part in bench(network).structure.parts}
    assert found
    assert all(key.rpartition(".")[0] in paths for key in found)
    assert all(type(array) is np.ndarray and array.dtype != object for array in found.values())
    again = pickle.loads(pickle.dumps(COMPENSATIONS[name].statistics(evidence_of(network))))  # noqa: S301  # our own
    assert all(np.array_equal(array, again[key]) for key, array in found.items())


@pytest.mark.parametrize("name", COMPENSATIONS)
def test_the_unpruned_network_is_left_as_it_was(name: str) -> None:
    own = bench_of("regnet", images=24)
    before = {key: tensor.clone() for key, tensor in own.network.state_dict().items()}
    held = COMPENSATIONS[name].statistics(Evidence(own.network, own.structure, own.calibration, seed=0))
    kept = drawn_kept("regnet", np.random.default_rng(5))
    for part in own.structure.parts:
        COMPENSATIONS[name].tensors(part, tensors_of(own.network, part), kept, held)
    assert all(torch.equal(tensor, before[key]) for key, tensor in own.network.state_dict().items())
    assert not any(module.training or module._forward_pre_hooks for module in own.network.modules())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in own.network.parameters())


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_filters_go_back_to_the_weight_they_came_from(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = str(rng.choice(list(SOUND)))
    for part in readers(bench(network).structure):
        weight = bench(network).network.get_parameter(f"{part.path}.weight")
        filters = as_filters(part, weight)
        assert filters.shape[0] == part.conv_groups
        assert filters.shape[2] * part.conv_groups == len(part.incoming or ())
        assert torch.equal(as_weight(part, filters, weight), weight)


@pytest.mark.parametrize("name", COMPENSATIONS)
def test_a_slicer_takes_each_of_them(name: str) -> None:
    own = bench("resnet")
    scores = [np.arange(units, dtype=np.float64) for units in own.structure.units]
    slicer = Slicer(own, scores, COMPENSATIONS[name], statistics("resnet", name))
    plain = Slicer(own, scores)
    halves = np.array([units // 2 for units in own.structure.units])
    images = own.calibration.batches[0]
    with torch.no_grad():
        assert not torch.equal(slicer.variant(halves).network(images), plain.variant(halves).network(images))
        full = slicer.variant(np.array(own.structure.units)).network(images)
        assert torch.equal(full, own.network(images))


@pytest.mark.parametrize("name", COMPENSATIONS)
def test_each_has_a_place_in_the_taxonomy(name: str) -> None:
    assert LEAVES[COMPENSATIONS[name].leaf] == ""


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lambda: LeastSquares(ridge=0.0), "ridge: expected a positive number, found 0.0"),
        (lambda: LeastSquares(rows_per_weight=-1.0), "rows_per_weight: expected a positive number, found -1.0"),
        (lambda: Merge(places_per_image=0), "places_per_image: expected 1 or more, found 0"),
        (lambda: MFAC(gradients=0), "expected gradients and block of 1 or more and a positive damping, found 0"),
        (lambda: MFAC(damping=float("nan")), "positive damping, found 64, 128 and nan"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: object, complaint: str) -> None:
    assert callable(wrong)
    with pytest.raises(ConfigError, match=complaint):
        wrong()


@pytest.mark.parametrize(("name", "limit"), [("least-squares", 32), ("merge", 2), ("mfac", 75)])
def test_statistics_of_a_network_of_128_channels_stay_small(name: str, limit: int) -> None:
    """In MiB; curvature takes 2 bytes for each of 64 gradients of every weight."""
    network = fashion_vgg().eval().requires_grad_(requires_grad=False)
    structure = trace(network, (1, 28, 28))
    network.requires_grad_(requires_grad=False)
    images = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    evidence = Evidence(network, structure, LoadedImages((images,), torch.arange(64) % 10), seed=0)
    compensation = {"least-squares": LeastSquares(rows_per_weight=0.5), "merge": Merge(), "mfac": MFAC()}[name]
    megabytes = sum(array.nbytes for array in compensation.statistics(evidence).values()) / 2**20
    assert megabytes < limit


def test_statistics_that_would_not_fit_are_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="more than the 0 allowed; ask for fewer gradients"):
        MFAC(megabytes=0).statistics(evidence_of("vgg"))


@pytest.mark.parametrize("compensation", [LeastSquares(most_weights=30), Merge(most_channels=3)])
def test_layers_too_wide_are_left_alone_and_named(compensation: Compensation, caplog: pytest.LogCaptureFixture) -> None:
    found = compensation.statistics(evidence_of("resnet"))
    assert not any(key.startswith("block2.second.0") for key in found)
    assert "block2.second.0" in caplog.text
