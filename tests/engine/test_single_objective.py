"""The single-objective loops: they keep an algorithm's promises, and do what the papers say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from emoprune.algorithms.genetic import Genetic
from emoprune.algorithms.greedy import Greedy
from emoprune.algorithms.particle_swarm import ParticleSwarm
from emoprune.algorithms.promptquine import PromptQuine
from emoprune.contracts import Direction, Objective
from emoprune.contracts.algorithm import Algorithm
from emoprune.errors import ConfigError, ContractError
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.deletion import DeletionMutation, DeletionSampling
from emoprune.operators.mutation import ResampleMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import RandomSampling
from emoprune.operators.seeding import Plain
from emoprune.space import Gene, GeneKind, IntArray, Space
from emoprune.testing import AlgorithmConformance

FloatArray = NDArray[np.float64]
DELETING = Operators(DeletionSampling(), Plain(), UniformCrossover(), DeletionMutation(), (Legal(),))
RESAMPLING = Operators(RandomSampling(), Plain(), UniformCrossover(), ResampleMutation(0.1), (Legal(),))


class TestGenerationalPromptQuine(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return PromptQuine(offspring=6, shortest=-1)


class TestSteadyStatePromptQuine(AlgorithmConformance):
    turns = 8

    def algorithm(self) -> Algorithm:
        return PromptQuine(mode="steady-state", replacement="last", offspring=3, shortest=-1)


class TestPromptQuineThatOnlyDeletes(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return PromptQuine(replacement="last", offspring=6, shortest=-1)

    def operators(self) -> Operators:
        return DELETING


class TestGreedy(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return Greedy()


class TestGenetic(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return Genetic(elite=0.3)


class TestParticleSwarm(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return ParticleSwarm(moves=3)


@dataclass
class Trial:
    """An algorithm at work on values that a function gives, the first objective to be made larger."""

    algorithm: Algorithm
    space: Space
    worth: Callable[[IntArray], FloatArray]
    operators: Operators = DELETING
    population: int = 6
    seed: int = 1
    told: dict[int, tuple[IntArray, float]] = field(default_factory=dict)
    asked: list[IntArray] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        objectives = [Objective("worth", Direction.MAXIMISE), Objective("size")]
        rng = np.random.default_rng(self.seed)
        self.evolution = Evolution(
            "trial", self.algorithm, self.space, self.operators, rng, objectives=objectives, population=self.population
        )

    def turn(self, failing: tuple[int, ...] = ()) -> bool:
        """Ask and tell once; say whether anything was asked."""
        begun = bool(self.asked)
        asked = self.evolution.ask() if begun else self.evolution.begin(self.space.full[None], ["unpruned"])
        self.asked.append(asked.genomes)
        self.parents += asked.parents[:, 0].tolist()
        rows = np.array([row for row, number in enumerate(asked.ids.tolist()) if number not in failing], dtype=np.int64)
        worth = self.worth(asked.genomes[rows])
        values = np.column_stack([-worth, asked.genomes[rows].sum(axis=1)])
        self.evolution.tell(rows, values, np.zeros(len(rows)))
        for row, one in zip(rows.tolist(), worth.tolist(), strict=True):
            self.told[int(asked.ids[row])] = (asked.genomes[row], one)
        return len(asked) > 0

    @property
    def pool(self) -> list[float]:
        return [self.told[number][1] for number in self.evolution.population.tolist()]

    @property
    def best(self) -> float:
        return max(worth for _, worth in self.told.values())


def fewest(genomes: IntArray) -> FloatArray:
    return -genomes.sum(axis=1).astype(np.float64)


def slots(words: int, count: int = 5) -> Space:
    return Space(tuple(Gene(f"word {place}", words + 1, GeneKind.CATEGORY) for place in range(count)))


def wanted(space: Space, seed: int = 0) -> Callable[[IntArray], FloatArray]:
    """A landscape with one best genome, each of its genes worth something by itself."""
    target = np.random.default_rng(seed).integers(1, space.levels)
    return lambda genomes: (genomes == target).sum(axis=1) + 0.0


def test_parents_die_even_where_they_are_better_than_all_children() -> None:
    trial = Trial(PromptQuine(offspring=12, shortest=-1), Space.bits(60), lambda genomes: genomes.sum(axis=1) + 0.0)
    trial.turn()
    before = trial.pool
    for _ in range(4):
        trial.turn()
    assert max(trial.pool) < max(before), "every deletion makes these genomes worse, and survivors are children"


def test_survivors_are_the_best_children() -> None:
    trial = Trial(PromptQuine(offspring=12, shortest=-1), Space.bits(60), fewest)
    trial.turn()
    trial.turn()
    assert len(trial.asked[1]) == 12
    assert sorted(trial.pool) == sorted(fewest(trial.asked[1]).tolist())[-6:]


def test_children_are_made_by_deletion_alone() -> None:
    trial = Trial(PromptQuine(offspring=20, shortest=-1), Space.bits(60), fewest)
    trial.turn()
    parents = {tuple(genome.tolist()) for genome, _ in trial.told.values()}
    trial.turn()
    for child in trial.asked[1]:
        gone = [np.array(parent) - child for parent in parents]
        assert any((each >= 0).all() and 1 <= each.sum() <= 4 for each in gone)


def test_old_members_survive_in_the_slice_that_was_published_when_children_are_dropped() -> None:
    """Of five bits little can be made, and children that equal a member lose their place."""

    def survivors(replacement: Literal["children", "last"]) -> set[int]:
        algorithm = PromptQuine(replacement=replacement, offspring=12, shortest=-1)
        trial = Trial(algorithm, Space.bits(5), lambda genomes: genomes.sum(axis=1) + 0.0, population=5)
        trial.turn()
        before = set(trial.evolution.population.tolist())
        trial.turn()
        assert len(trial.asked[1]) < 12
        return before & set(trial.evolution.population.tolist())

    assert survivors("last")
    assert not survivors("children")


def test_in_steady_state_a_child_is_measured_at_once_and_can_be_a_parent_in_its_own_generation() -> None:
    trial = Trial(PromptQuine(mode="steady-state", offspring=10, tournament=1.0, shortest=-1), Space.bits(60), fewest)
    for _ in range(7):
        trial.turn()
    assert [len(each) for each in trial.asked[1:]] == [1] * 6
    assert any(parent >= 6 for parent in trial.parents[6:]), "the first generation has the ids 0 to 5"
    assert len(trial.pool) == 12, "the population holds the children until the generation is over"
    for _ in range(4):
        trial.turn()
    assert len(trial.pool) == 6


def test_a_tournament_of_everybody_is_won_by_the_best_and_one_of_nobody_by_anybody() -> None:
    def parents(tournament: float) -> set[int]:
        trial = Trial(PromptQuine(offspring=40, tournament=tournament, shortest=-1), Space.bits(60), fewest)
        trial.turn()
        offspring = trial.evolution.ask()
        return set(offspring.parents[:, 0].tolist())

    # Drawn with replacement, even a tournament as large as the population misses the best now and then.
    assert len(parents(1.0)) < len(parents(0.01)) == 6


def test_the_search_ends_when_the_population_is_short_enough() -> None:
    trial = Trial(PromptQuine(offspring=12, shortest=30), Space.bits(60), fewest)
    while trial.turn():
        pass
    assert "mean length is" in str(trial.evolution.ended)
    assert trial.evolution.population.size
    assert np.mean([genome.sum() for genome, _ in map(trial.told.get, trial.evolution.population.tolist())]) <= 30  # type: ignore[misc]  # all were told


def test_the_budget_counts_lost_places_too() -> None:
    trial = Trial(PromptQuine(offspring=8, budget=20, shortest=-1), Space.bits(4), fewest, population=4)
    while trial.turn():
        pass
    assert trial.evolution.ended == "the budget of 20 places for children is spent"
    assert sum(map(len, trial.asked[1:])) < 20


def test_a_child_that_fails_takes_no_place_in_the_population() -> None:
    trial = Trial(PromptQuine(offspring=4, shortest=-1), Space.bits(60), fewest)
    trial.turn()
    trial.turn(failing=(6, 7, 8, 9))
    assert set(trial.evolution.population.tolist()) <= set(range(6))
    trial.turn()
    assert len(trial.pool) == 4


def test_greedy_appends_the_best_word_round_by_round() -> None:
    space = slots(30)
    worth = wanted(space)
    trial = Trial(Greedy(), space, worth, RESAMPLING)
    while trial.turn():
        pass
    assert trial.best == 5
    assert [len(each) for each in trial.asked[1:6]] == [30] * 5
    assert trial.evolution.ended == "all 5 genes are chosen"
    assert trial.pool == [5.0]


@pytest.mark.parametrize("make", [Genetic, ParticleSwarm])
def test_population_searches_find_more_than_as_many_random_genomes(make: Callable[[], Algorithm]) -> None:
    space = slots(40, 8)
    found, control = [], []
    for seed in range(5):
        worth = wanted(space, seed)
        trial = Trial(make(), space, worth, RESAMPLING, population=40, seed=seed)
        for _ in range(15):
            trial.turn()
        found.append(trial.best)
        drawn = RandomSampling()(space, len(trial.told), np.random.default_rng(seed))
        control.append(worth(drawn).max())
    assert np.mean(found) > np.mean(control) + 1


def test_children_of_two_parents_mix_their_genes_and_every_gene_can_mutate() -> None:
    """A child was a copy of one whole parent in the published code, and the first and last gene never changed."""
    space = slots(50)
    trial = Trial(Genetic(elite=0.1), space, wanted(space), RESAMPLING, population=60)
    trial.turn()
    elite = sorted(trial.told, key=lambda number: (-trial.told[number][1], number))[:6]
    parents = np.array([trial.told[number][0] for number in elite])
    offspring = trial.evolution.ask()
    crossed = offspring.genomes[offspring.parents[:, 1] >= 0]
    mutants = offspring.genomes[offspring.parents[:, 1] < 0]
    assert len(mutants) == len(crossed) == 30
    assert all(all(gene in parents[:, place] for place, gene in enumerate(child)) for child in crossed.tolist())
    changed = [(np.abs(parents - mutant) > 0)[(parents == mutant).sum(axis=1).argmax()] for mutant in mutants]
    assert np.any(changed, axis=0).all()


def test_the_best_a_swarm_remembers_keeps_the_value_it_was_measured_with() -> None:
    space = slots(50)
    trial = Trial(ParticleSwarm(mutation=1.0), space, wanted(space), RESAMPLING, population=20)
    remembered = []
    for _ in range(8):
        trial.turn()
        remembered.append(sum(trial.pool))
    assert remembered == sorted(remembered)


@pytest.mark.parametrize("make", [PromptQuine, Greedy, Genetic, ParticleSwarm])
def test_an_objective_that_there_is_not_is_refused_with_the_nearest(make: Callable[[str], Algorithm]) -> None:
    with pytest.raises(ConfigError, match="expected an objective out of worth, size, found 'wort'; did you mean"):
        Trial(make("wort"), Space.bits(5), fewest)
    with pytest.raises(ContractError, match=r"call begin\(breeding\) before anything else"):
        make("worth").ask(np.random.default_rng(1))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: PromptQuine(offspring=0), "expected offspring and budget of 1 or more, found 0"),
        (lambda: PromptQuine(tournament=0), "expected a tournament above 0 and at most 1, found 0"),
        (lambda: Genetic(elite=2), "expected an elite above 0 and at most 1, found 2"),
        (lambda: ParticleSwarm(moves=0), "expected 1 move or more, found 0"),
        (lambda: ParticleSwarm(mutation=2), "expected a mutation between 0 and 1, found 2"),
    ],
)
def test_options_that_cannot_be_are_refused(make: Callable[[], Algorithm], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        make()
