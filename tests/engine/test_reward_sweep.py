"""A sweep of rewards: it keeps an algorithm's promises, and leaves out where a front bulges."""

from __future__ import annotations

import numpy as np
import pytest

from emoprune.algorithms.reward_sweep import RewardSweep
from emoprune.contracts import Objective
from emoprune.contracts.algorithm import Algorithm
from emoprune.errors import ConfigError
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.front import hypervolume
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import RandomSampling
from emoprune.operators.seeding import Plain
from emoprune.plugins import build
from emoprune.space import Space
from emoprune.testing import AlgorithmConformance

OPERATORS = Operators(RandomSampling(), Plain(), UniformCrossover(), ByKindMutation(), (Legal(),))


class TestRewardSweep(AlgorithmConformance):
    def algorithm(self) -> Algorithm:
        return RewardSweep(3)


@pytest.mark.slow
class TestRewardSweepOfThree(AlgorithmConformance):
    objectives = 3

    def algorithm(self) -> Algorithm:
        return RewardSweep(4)


def on_an_arc(genomes: np.ndarray) -> np.ndarray:
    """Return a front that bulges: the first level is the angle on a quarter circle, all others lead away from it."""
    angle = genomes[:, 0] / 30 * np.pi / 2
    away = 1 + genomes[:, 1:].mean(axis=1) / 30
    return np.column_stack([np.sin(angle), np.cos(angle)]) * away[:, np.newaxis]


def found_by(name: str, seed: int, turns: int = 12) -> np.ndarray:
    """Return all that a search measured, at 20 evaluations a turn."""
    space = Space.ordered((f"gene {number}", 31) for number in range(5))
    algorithm = RewardSweep(5) if name == "reward-ga" else build("algorithm", name, {})
    objectives = [Objective("one"), Objective("other")]
    rng = np.random.default_rng(seed)
    evolution = Evolution(name, algorithm, space, OPERATORS, rng, objectives=objectives, population=20)
    offspring, told = evolution.begin(space.full[None, :], ["start"]), list[np.ndarray]()
    for turn in range(turns):
        offspring = evolution.ask() if turn else offspring
        told.append(on_an_arc(offspring.genomes))
        evolution.tell(np.arange(len(offspring)), told[-1], np.zeros(len(offspring)))
    return np.concatenate(told)


def test_on_a_front_that_bulges_a_sweep_of_rewards_misses_what_nsga2_finds_at_equal_evaluations() -> None:
    volumes = {name: [] for name in ("reward-ga", "nsga2")}
    for seed in range(2):
        for name, own in volumes.items():
            scores = found_by(name, seed)
            assert len(scores) == 12 * 20
            own.append(hypervolume(scores, np.full(2, 2.0)))
    assert min(volumes["nsga2"]) > max(volumes["reward-ga"]), volumes


def test_a_single_reward_is_no_sweep() -> None:
    with pytest.raises(ConfigError, match="rewards: expected 2 or more, found 1"):
        RewardSweep(1)
