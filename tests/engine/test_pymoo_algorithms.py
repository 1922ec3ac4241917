"""Evolution over pymoo: stable, exact to restore, and the same decisions as pymoo where both decide."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymoo.core.individual import Individual
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

from emoprune.algorithms.pymoo_survival import Rows, StableRankAndCrowding, Standing
from emoprune.contracts import LARGEST, Objective, about_of
from emoprune.contracts.algorithm import Algorithm, Measured
from emoprune.errors import ConfigError, ContractError, RunCorrupt
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.front import hypervolume
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import LatinSampling
from emoprune.operators.seeding import Plain
from emoprune.plugins import build
from emoprune.space import IntArray, Space
from emoprune.testing import AlgorithmConformance

SPACE = Space.bits(24)
ALGORITHMS = ("nsga2", "nsga3", "age-moea2", "sms-emoa", "random")  # pymoo's
# These have more promises, in files of their own.
OWN = (*ALGORITHMS, "surrogate", "promptquine", "greedy", "genetic", "particle-swarm", "evopress", "reward-ga")
WEIGHTS = np.random.default_rng(4).random((3, 24))


def evolution(name: str = "nsga2", objectives: int = 2, population: int = 16, seed: int = 1) -> Evolution:
    operators = Operators(LatinSampling(), Plain(), UniformCrossover(), ByKindMutation(), (Legal(),))
    named = [Objective(f"objective{number}") for number in range(objectives)]
    made, rng = build("algorithm", name, {}), np.random.default_rng(seed)
    return Evolution(name, made, SPACE, operators, rng, objectives=named, population=population)


def told(evolved: Evolution) -> Measured:
    """Return what is known of the population, as the state has it."""
    state = evolved.state()["state"]
    names = ("ids", "genomes", "objectives", "violation")
    return Measured(*(np.array(state[name]) for name in names))


def scores(genomes: IntArray, objectives: int) -> NDArray[np.float64]:
    lost = (1 - genomes) @ WEIGHTS.T
    return np.column_stack([genomes.sum(axis=1) + (lost[:, 0] if objectives == 1 else 0), lost[:, : objectives - 1]])


def turn(evolved: Evolution, generations: int, objectives: int, asked: list[IntArray]) -> None:
    for _ in range(generations):
        offspring = evolved.ask() if asked else evolved.begin(SPACE.full[None, :], ["reference:unpruned"])
        asked.append(offspring.genomes)
        values = scores(offspring.genomes, objectives)
        violation = np.maximum(0.0, offspring.genomes.sum(axis=1) - 20.0)
        evolved.tell(np.arange(len(offspring)), values, violation)


class TestNSGA2(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "nsga2", {})
        return built


class TestNSGA3(AlgorithmConformance):
    objectives = 3

    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "nsga3", {})
        return built


class TestSMSEMOA(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "sms-emoa", {})
        return built


class TestRandom(AlgorithmConformance):
    objectives = 1

    def algorithm(self) -> Algorithm:
        built: Algorithm = build("algorithm", "random", {})
        return built


def test_every_algorithm_of_ours_is_tried_and_says_what_it_is() -> None:
    own = [each for each in entry_points(group="emoprune.algorithms") if each.module.startswith("emoprune.")]
    assert {each.name for each in own} == set(OWN)
    said = [about_of(each.load()) for each in own]
    assert {(each.family, each.granularity, each.serves) for each in said if each} == {("search", ("genomes",), ())}
    assert None not in said


CASES = [(name, n) for name in ALGORITHMS for n in (1, 2, 3) if not (name == "age-moea2" and n == 1)]


@pytest.mark.parametrize(("name", "objectives"), CASES)
def test_a_restored_evolution_goes_on_exactly_as_the_uninterrupted_one(name: str, objectives: int) -> None:
    whole, asked_whole = evolution(name, objectives), []
    turn(whole, 9, objectives, asked_whole)
    for cut in (1, 4, 8):
        before, asked = evolution(name, objectives), []
        turn(before, cut, objectives, asked)
        state = json.loads(json.dumps(before.state(), allow_nan=False))
        after = evolution(name, objectives, seed=999)
        after.restore(state, np.concatenate(asked), told(before))
        turn(after, 9 - cut, objectives, asked)
        assert after.state() == whole.state()
        np.testing.assert_array_equal(np.concatenate(asked), np.concatenate(asked_whole))


def dominated_volume(evolved: Evolution) -> float:
    population = told(evolved)
    return hypervolume(population.objectives[population.violation == 0], np.array([25.0, 25.0]))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_beats_its_own_first_generation(name: str) -> None:
    evolved, asked = evolution(name), []
    turn(evolved, 1, 2, asked)
    first = dominated_volume(evolved)
    turn(evolved, 15, 2, asked)
    assert dominated_volume(evolved) > first
    assert len(set(SPACE.keys(np.concatenate(asked)))) == sum(map(len, asked))


# What a problem may answer and an algorithm has to live with: turns the objectives of a usual landscape, shape (n, m).
LANDSCAPES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "constant": np.ones_like,
    "constant-in-the-last": lambda values: np.column_stack([values[:, :-1], np.ones(len(values))]),
    "all-on-one-line": lambda values: np.repeat(values[:, :1], values.shape[1], axis=1),
    "full-of-ties": lambda values: np.floor(values / 4),
    "two-values": lambda values: np.floor(values / values.max()),
    "huge": lambda values: values * 1e98,
    "huge-and-small": lambda values: np.where(values > 5, LARGEST, values),
    "of-both-signs": lambda values: np.where(values > 5, LARGEST, -LARGEST),
    "next-to-nothing": lambda values: values * 1e-320,
    "nearly-constant": lambda values: 1 + values * 1e-15,
}


@pytest.mark.parametrize("violation", [0.0, LARGEST])
@pytest.mark.parametrize("landscape", LANDSCAPES)
@pytest.mark.parametrize(("name", "objectives"), [*CASES, *(("surrogate", n) for n in (1, 2, 3))])
def test_no_landscape_ends_a_search(name: str, objectives: int, landscape: str, violation: float) -> None:
    evolved = evolution(name, objectives)
    offspring = evolved.begin(SPACE.full[None, :], ["reference:unpruned"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            values = LANDSCAPES[landscape](scores(offspring.genomes, objectives))
            missed = np.where(offspring.genomes[:, 3] > 0, violation, 0.0)
            evolved.tell(np.arange(len(offspring)), values, missed)
            json.dumps(evolved.state(), allow_nan=False)
            offspring = evolved.ask()
            assert len(offspring) == evolved.per_generation
    assert len(evolved.population) == len(set(evolved.population.tolist())) == 16


def test_the_random_control_has_no_parents() -> None:
    evolved, asked = evolution("random"), []
    turn(evolved, 1, 2, asked)
    offspring = evolved.ask()
    assert (offspring.parents == -1).all()
    assert set(offspring.origins) == {"sampling"}


def test_seeds_come_first_and_equal_ones_once() -> None:
    seeds = np.stack([SPACE.full, np.zeros(24, dtype=np.int64), SPACE.full])
    offspring = evolution().begin(seeds, ["reference:unpruned", "reference:empty", "reference:again"])
    np.testing.assert_array_equal(offspring.genomes[:2], seeds[:2])
    assert offspring.origins[:3] == ("reference:unpruned", "reference:empty", "initial")
    assert len(offspring) == 16
    assert offspring.ids.tolist() == list(range(16))


def test_more_seeds_than_the_population_are_all_kept() -> None:
    seeds = np.eye(24, dtype=np.int64)
    assert len(evolution(population=10).begin(seeds, ["x"] * 24)) == 24


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_cannot_be_ranked_never_reaches_pymoo(value: float) -> None:
    evolved = evolution()
    offspring = evolved.begin(SPACE.full[None, :], ["reference:unpruned"])
    values = scores(offspring.genomes, 2)
    values[3, 1] = value
    with pytest.raises(ContractError, match="must not reach the algorithm"):
        evolved.tell(np.arange(len(offspring)), values, np.zeros(len(offspring)))


def test_failed_offspring_are_left_out_and_never_asked_for_again() -> None:
    evolved = evolution()
    offspring = evolved.begin(SPACE.full[None, :], ["reference:unpruned"])
    kept = np.array([0, 2, 5])
    evolved.tell(kept, scores(offspring.genomes[kept], 2), np.zeros(3))
    assert evolved.population.tolist() == [0, 2, 5]
    again = {*SPACE.keys(evolved.ask().genomes)} & {*SPACE.keys(offspring.genomes)}
    assert not again


def test_a_generation_that_failed_as_a_whole_leaves_the_population_as_it_was() -> None:
    evolved, asked = evolution(), []
    turn(evolved, 2, 2, asked)
    before = evolved.population.tolist()
    evolved.ask()
    evolved.tell(np.zeros(0, dtype=np.int64), np.zeros((0, 2)), np.zeros(0))
    assert evolved.population.tolist() == before


def test_the_infeasible_survive_only_behind_the_feasible_and_by_violation() -> None:
    evolved = evolution(population=4)
    evolved.begin(np.eye(24, dtype=np.int64)[:8], ["x"] * 8)
    violation = np.array([0.5, 0.0, 0.3, 0.9, 0.1, 0.3, 0.7, 0.8])
    evolved.tell(np.arange(8), np.ones((8, 2)), violation)
    children = evolved.ask()
    worse = np.full(len(children), 5.0)
    evolved.tell(np.arange(len(children)), np.ones((len(children), 2)), worse)
    assert told(evolved).violation.tolist() == [0.0, 0.1, 0.3, 0.3]
    assert evolved.population.tolist() == [1, 4, 2, 5]  # equal violations keep their order


def test_a_state_of_another_algorithm_is_refused() -> None:
    evolved, asked = evolution(), []
    turn(evolved, 1, 2, asked)
    with pytest.raises(RunCorrupt, match="does not hold a state of sms-emoa"):
        evolution("sms-emoa").restore(evolved.state(), asked[0], told(evolved))


def test_a_state_that_lacks_a_part_is_refused() -> None:
    evolved, asked = evolution(), []
    turn(evolved, 1, 2, asked)
    state = evolved.state()
    del state["state"]["crowding"]
    with pytest.raises(RunCorrupt, match="crowding"):
        evolution().restore(state, asked[0], told(evolved))


def test_age_moea2_says_that_it_needs_two_objectives() -> None:
    with pytest.raises(ConfigError, match="needs at least 2 objectives"):
        evolution("age-moea2", objectives=1)


def test_pymoo_does_not_silence_the_callers_warnings() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        turn(evolution("nsga3"), 3, 2, [])
        warnings.warn("still heard", UserWarning, stacklevel=1)
    assert [str(each.message) for each in caught if each.category is UserWarning] == ["still heard"]


@settings(max_examples=60)
@given(st.data())
def test_ranks_crowding_and_survivors_are_pymoos_own(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 60))
    objectives = data.draw(st.integers(2, 4))
    values = np.random.default_rng(data.draw(st.integers(0, 10_000))).random((count, objectives))
    survive = data.draw(st.integers(1, count))
    problem = PymooProblem(n_var=1, n_obj=objectives, n_ieq_constr=0, xl=0, xu=1)
    mine = StableRankAndCrowding().do(problem, rows(values), n_survive=survive, random_state=np.random.default_rng(1))
    theirs = RankAndCrowding().do(
        problem, individuals(values), n_survive=survive, random_state=np.random.default_rng(1)
    )
    known = mine.standing
    own = {number: (known.rank[number], known.crowding[number]) for number in mine.tolist()}
    expected = {each.data["number"]: (each.get("rank"), each.get("crowding")) for each in theirs}
    # Who of two equally crowded survives is a coin's choice; everything else must agree.
    assert sorted(own.values()) == sorted(expected.values())
    assert all(own[number] == expected[number] for number in own.keys() & expected.keys())


def rows(values: NDArray[np.float64]) -> Rows:
    ids, nothing = np.arange(len(values)), np.zeros((len(values), 1), dtype=np.int64)
    return Rows(ids, Standing.of(Measured(ids, nothing, values, np.zeros(len(values))), Space.bits(1)))


def individuals(values: NDArray[np.float64]) -> Population:
    return Population([Individual(F=row, number=number) for number, row in enumerate(values)])


def test_ties_are_broken_by_the_generator_alone_and_not_by_position() -> None:
    values = np.tile([[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]], (10, 1))
    problem = PymooProblem(n_var=1, n_obj=2, n_ieq_constr=0, xl=0, xu=1)

    def survivors(seed: int) -> list[int]:
        rng = np.random.default_rng(seed)
        survived: list[int] = StableRankAndCrowding().do(problem, rows(values), n_survive=12, random_state=rng).tolist()
        return survived

    assert survivors(1) == survivors(1)
    assert survivors(1) != survivors(2)
