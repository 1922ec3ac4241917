"""Weight pruning per layer as a problem: its promises, its references, and that zeros stay zeros."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emoprune.contracts import Failure, Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.references.global_magnitude import FLOOR, global_magnitude_counts
from emoprune.problems.networks.layers.references.pq_ratios import pq_counts
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.standalone.unpack import unpack
from emoprune.records import Split
from emoprune.space import IntArray
from emoprune.testing import ProblemConformance

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


class TestShares(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return WeightRatios(**SMALL, shares=[0.1, 0.3, 0.6, 1.0], at_most={"error": 0.9, "bytes-share": 0.5})


class TestPatterns(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return WeightRatios(**SMALL, pattern="n:m", m=2, saliency="taylor", objectives=["kl", "bytes", "pq-index"])


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the digits network; other patterns read the same weights."""
    made = tmp_path_factory.mktemp("digits")
    WeightRatios().prepare(made, 1)
    return made


def ready(folder: Path, **options: Any) -> WeightRatios:  # the options under test, of whatever type
    problem = WeightRatios(**options)
    problem.prepare(folder, 1)
    problem.setup("cpu", torch.get_num_threads())
    return problem


def rows(problem: WeightRatios, genome: IntArray, split: Split = Split.TEST) -> list[float]:
    (row,) = problem.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), split)
    assert not isinstance(row, Failure)
    return list(row)


def genome_of(problem: WeightRatios, name: str) -> IntArray:
    return next(each.genome for each in problem.references() if each.name == name)


# references


def test_references_are_distinct_legal_and_begin_with_the_unpruned_network(digits_folder: Path) -> None:
    problem = ready(digits_folder)
    names = [reference.name for reference in problem.references()]
    genomes = np.stack([reference.genome for reference in problem.references()])
    assert names[0] == "unpruned"
    assert (genomes[0] == problem.space.full).all()
    assert problem.space.legal(genomes).all()
    assert len(np.unique(genomes, axis=0)) == len(genomes)
    assert len([name for name in names if name.startswith("uniform-")]) == 17
    families = ("global-magnitude", "erk", "balanced", "pyramidal", "pq-0_5-1", "pq-1-2")
    assert all(f"{family}-50" in names for family in families)


@pytest.mark.parametrize("family", ["global-magnitude", "erk", "pyramidal"])
def test_a_reference_keeps_at_least_what_its_name_says_and_little_more(family: str, digits_folder: Path) -> None:
    problem = ready(digits_folder)
    for percentage in (50, 25, 10):
        levels = problem._levels  # counts only the layers that can be pruned
        wanted = levels.decode(genome_of(problem, f"{family}-{percentage}")[np.newaxis])[0]
        kept = levels.nonzeros[np.arange(len(wanted)), wanted].sum() / levels.sizes.sum()
        assert percentage / 100 - 0.001 <= kept <= 1.45 * percentage / 100


def test_one_threshold_keeps_the_largest_weights_of_the_network() -> None:
    layers = [np.array([9.0, 8, 1, 1]), np.array([7.0, 2, 2, 2, 2, 2])]
    assert global_magnitude_counts(layers, 0.3, floor=0.1).tolist() == [2, 1]
    uneven = [np.array([9.0, 8, 7, 6]), np.array([1.0, 1])]
    assert global_magnitude_counts(uneven, 0.5, floor=0.0).tolist() == [2, 1]
    assert global_magnitude_counts(uneven, 0.5, floor=0.3).tolist() == [2, 2]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), density=st.floats(0.02, 0.98))
def test_one_threshold_has_its_floor_and_stays_within_the_target(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    layers = [np.sort(rng.exponential(rng.uniform(0.1, 3), rng.integers(1, 400)))[::-1] for _ in range(4)]
    sizes = np.array([len(own) for own in layers])
    counts = global_magnitude_counts(layers, density)
    floor = np.minimum(sizes, max(1, np.ceil(FLOOR * sizes.sum())))
    assert (counts >= floor).all()
    assert (counts <= sizes).all()
    assert counts.sum() <= max(density * sizes.sum(), floor.sum())
    above = [own[int(count) - 1] for own, count, least in zip(layers, counts, floor, strict=True) if count > least]
    below = [own[int(count)] for own, count in zip(layers, counts, strict=True) if count < len(own)]
    assert not above or not below or min(above) >= max(below)


def drawn(rng: np.random.Generator, spread: float, count: int) -> NDArray[np.float64]:
    return np.sort(rng.lognormal(0, spread, count))[::-1]


def test_rounds_of_pq_ratios_prune_the_more_unequal_layer_further() -> None:
    rng = np.random.default_rng(1)
    for p, q in ((0.5, 1.0), (1.0, 2.0)):
        equal, unequal = pq_counts([drawn(rng, 0.1, 2000), drawn(rng, 2.0, 2000)], 0.5, p, q)
        assert equal + unequal == pytest.approx(2000, abs=1)
        assert unequal < 0.5 * equal


def test_rounds_of_pq_ratios_end_where_all_weights_are_alike() -> None:
    counts = pq_counts([np.ones(100), np.ones(300)], 0.25, 1.0, 2.0)
    assert counts.sum() <= 100 + 1e-6
    assert counts.min() >= 1


# what pruning does


def test_half_of_the_digits_weights_can_go_for_nearly_nothing_and_most_of_them_not(digits_folder: Path) -> None:
    problem = ready(digits_folder)
    unpruned, half, few = (rows(problem, genome_of(problem, f))[0] for f in ("unpruned", "uniform-50", "uniform-2"))
    assert half <= unpruned + 0.02
    assert few > 0.5


def test_two_of_four_costs_about_what_unstructured_pruning_costs_at_as_many_weights(
    digits_folder: Path, tmp_path: Path
) -> None:
    free = ready(with_the_same_weights(digits_folder, tmp_path / "free"), ignore=["conv1"])
    bound = ready(with_the_same_weights(digits_folder, tmp_path / "bound"), pattern="n:m", ignore=["conv1"])
    (error, weights), (patterned, as_many) = (
        rows(free, genome_of(free, "uniform-50")),
        rows(bound, genome_of(bound, "uniform-2-of-4")),
    )
    assert weights == as_many
    assert abs(patterned - error) <= 0.02


def with_the_same_weights(trained: Path, folder: Path) -> Path:
    """Return a new folder with trained weights and nothing of another problem's ranks and references."""
    folder.mkdir()
    for path in trained.glob("weights*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("method", ["finetune", "distil"])
def test_recovery_wins_back_what_pruning_broke_and_keeps_every_zero(
    method: str, digits_folder: Path, tmp_path: Path
) -> None:
    problem = ready(digits_folder)
    genome = genome_of(problem, "uniform-12")
    (broken, weights) = rows(problem, genome)
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    problem.export_as(genome, before, ["packed"], verify=False)
    found = problem.recover(genome, after, 1, epochs=3, method=method)
    assert found.values["test"]["error"] < 0.7 * broken
    assert found.values["test"]["parameters"] == weights
    pruned, recovered = unpack(before), unpack(after)
    layers = [name for name, tensor in pruned.items() if name.endswith("weight") and tensor.ndim > 1]
    assert layers
    for name in layers:
        assert not recovered[name][pruned[name] == 0].any()
        assert not torch.equal(recovered[name], pruned[name])


# what goes wrong


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"saliency": "size"}, "saliency: no saliency is called 'size'"),
        ({"shares": [0.5, 0.2, 1]}, "shares: expected rising numbers above 0 that end with 1"),
        ({"pattern": "n:m", "m": 1}, "m: expected 2 to 64"),
        ({"at_most": {"size": 1}}, "at_most: no objective is called 'size'"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        WeightRatios(**SMALL, **options)
