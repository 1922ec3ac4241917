"""NSGA-II with models: an algorithm like others, exact in its arithmetic, and sooner where evaluations are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from emoprune.algorithms.gaussian_process import GaussianProcess, coordinates
from emoprune.algorithms.surrogate import added
from emoprune.contracts import Direction, Objective
from emoprune.contracts.algorithm import Algorithm
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.front import hypervolume, non_dominated
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import LatinSampling
from emoprune.operators.seeding import Plain
from emoprune.plugins import build
from emoprune.space import Gene, GeneKind, IntArray, Space
from emoprune.testing import AlgorithmConformance

FloatArray = NDArray[np.float64]


class TestSurrogate(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "surrogate", {"pool": 4})
        return built


class TestSurrogateOfThreeObjectives(AlgorithmConformance):
    objectives = 3
    turns = 3

    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "surrogate", {"pool": 3, "offspring": 5, "most": 20})
        return built


class TestSurrogateOfOneObjective(AlgorithmConformance):
    objectives = 1
    turns = 3

    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "surrogate", {"pool": 3, "free": 0.0})
        return built


@pytest.mark.parametrize(
    "options", [{"offspring": 0}, {"pool": 1}, {"explore": -1.0}, {"free": 1.5}, {"most": 3}], ids=str
)
def test_options_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        build("algorithm", "surrogate", options)


LAYERS = Space.ordered([(f"layer{number}", 16) for number in range(10)])


def landscape(genomes: IntArray, seed: int) -> FloatArray:
    """Widths of ten layers: narrow ones cost accuracy, each in its own way and beside its neighbour, wide ones macs."""
    rng = np.random.default_rng(seed)
    shares = (genomes + 1) / 16
    weights, sharpness = rng.uniform(0.2, 1.0, 10), rng.uniform(2.0, 9.0, 10)
    lost = (weights * np.exp(-sharpness * shares)).sum(axis=1) / weights.sum()
    macs = (shares[:, :-1] * shares[:, 1:] * rng.uniform(0.2, 1.0, 9)).sum(axis=1)
    return np.column_stack([lost, macs / 9])


def course(algorithm: str, evaluations: int, seed: int, first: Objective) -> FloatArray:
    """Return what was told in the course of a search, to minimise, shape (evaluations, 2)."""
    operators = Operators(LatinSampling(), Plain(), UniformCrossover(), ByKindMutation(), (Legal(),))
    named, made = [first, Objective("macs", worst=1.0)], build("algorithm", algorithm, {})
    rng = np.random.default_rng(seed)
    evolution = Evolution(algorithm, made, LAYERS, operators, rng, objectives=named, population=20)
    offspring, told = evolution.begin(LAYERS.full[None, :], ["reference"]), np.zeros((0, 2))
    while len(told) < evaluations:
        values = landscape(offspring.genomes, seed)
        told = np.concatenate([told, values])
        evolution.tell(np.arange(len(offspring)), values, np.zeros(len(offspring)))
        offspring = evolution.ask()
    return told[:evaluations]


def volume(algorithm: str, evaluations: int, seed: int) -> float:
    told = course(algorithm, evaluations, seed, Objective("error", worst=1.0))
    return hypervolume(told[non_dominated(told)], np.ones(2))


def test_with_a_fifth_of_the_evaluations_it_is_further_than_nsga2() -> None:
    ahead = [volume("surrogate", 120, seed) - volume("nsga2", 600, seed) for seed in range(5)]
    assert np.median(ahead) > 0


@given(st.data())
@settings(max_examples=60)
def test_what_is_added_first_adds_most_and_all_of_it_adds_up(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    objectives = data.draw(st.sampled_from([2, 3]))
    front = rng.random((data.draw(st.integers(0, 6)), objectives))
    front = front[non_dominated(front)]
    points, point = rng.random((12, objectives)) * 1.2, np.ones(objectives)
    chosen = added(front, points, point, 4)

    def whole(rows: IntArray) -> float:
        joined = np.concatenate([front, points[rows]])
        joined = joined[(joined < 1).all(axis=1)]
        return hypervolume(joined[non_dominated(joined)], point) if len(joined) else 0.0

    singles = [whole(np.array([row])) for row in range(len(points))]
    before = whole(np.zeros(0, dtype=np.int64))
    if len(chosen):
        assert singles[int(chosen[0])] == pytest.approx(max(singles))
    else:
        assert max(singles) == pytest.approx(before)
    volumes = [whole(chosen[:count]) for count in range(len(chosen) + 1)]
    assert (np.diff(volumes) > -1e-12).all()
    assert len(set(chosen.tolist())) == len(chosen)


def test_a_process_finds_a_smooth_function_again_and_is_sure_where_it_was_measured() -> None:
    rng = np.random.default_rng(1)
    points = rng.random((80, 3))
    values = np.column_stack([np.sin(3 * points[:, 0]) + points[:, 1], np.full(80, 2.0)])
    model = GaussianProcess.of(points, values, 3)
    elsewhere = rng.random((200, 3)) * 0.8 + 0.1
    mean, spread = model.predicted(elsewhere)
    wanted = np.sin(3 * elsewhere[:, 0]) + elsewhere[:, 1]
    assert np.abs(mean[:, 0] - wanted).max() < 0.05
    np.testing.assert_allclose(mean[:, 1], 2.0)
    far = model.predicted(points[:5] + 3.0)[1][:, 0]
    assert (model.predicted(points[:5])[1][:, 0] < 0.2 * far).all()
    assert (spread >= 0).all()


def test_a_process_tells_noise_from_signal() -> None:
    rng = np.random.default_rng(2)
    points = rng.random((150, 2))
    values = (points[:, [0]] > 0.5) + rng.normal(0, 0.4, (150, 1))
    mean, _ = GaussianProcess.of(points, values, 2).predicted(np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert abs(mean[0, 0]) < 0.25
    assert abs(mean[1, 0] - 1) < 0.25


def test_genomes_that_differ_fully_in_one_gene_are_one_apart_whatever_its_kind() -> None:
    space = Space(
        (
            Gene("bit"),
            Gene("level", 9, GeneKind.ORDERED),
            Gene("word", 5, GeneKind.CATEGORY),
            Gene("locked", locked=1),
        )
    )
    base = np.array([[0, 0, 0, 1]])
    others = np.array([[1, 0, 0, 1], [0, 8, 0, 1], [0, 0, 3, 1]])
    gaps = np.linalg.norm(coordinates(space, others) - coordinates(space, base), axis=1)
    np.testing.assert_allclose(gaps, 1.0)


def test_an_objective_to_maximise_is_screened_as_its_negative_is_to_minimise() -> None:
    minimised = course("surrogate", 60, 1, Objective("error", worst=1.0))
    maximised = course("surrogate", 60, 1, Objective("negative-error", Direction.MAXIMISE, worst=-1.0))
    np.testing.assert_array_equal(minimised, maximised)
