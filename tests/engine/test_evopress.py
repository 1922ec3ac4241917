"""One parent and its children: who goes on after each grade, and who is the next parent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from problems_for_tests import GradedKnapsack12
from searching_for_tests import searched_run

from emoprune.algorithms.evopress import EvoPress
from emoprune.contracts import Constraint, Objective
from emoprune.contracts.algorithm import Measured, Noise
from emoprune.errors import ConfigError
from emoprune.evolution.ask_tell import Evolution
from emoprune.evolution.variation import Operators
from emoprune.operators.crossover import UniformCrossover
from emoprune.operators.mutation import ByKindMutation
from emoprune.operators.repair import Legal
from emoprune.operators.sampling import LatinSampling
from emoprune.operators.seeding import Plain
from emoprune.records import Split
from emoprune.run import Run
from emoprune.space import IntArray, Space


class Bounded(GradedKnapsack12):
    """A knapsack that may hold at most half of the weight."""

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bound."""
        return (Constraint("load", 0.5 * self._weights.sum(), "g"),)

    def evaluate_blocks(
        self, genomes: IntArray, seeds: NDArray[np.uint64], split: Split, blocks: range
    ) -> NDArray[np.float64]:
        """Return the weight once more, as what is bounded."""
        rows = super().evaluate_blocks(genomes, seeds, split, blocks)
        return np.concatenate([rows, rows[:, :, 1:]], axis=2)


def searched(runs: Path, **search: Any) -> Run:
    algorithm = {"name": "evopress", "offspring": 12, "survivors": [6, 2]}
    settings = {
        "search": {"population": 4, "generations": 4, "algorithm": algorithm, "mutation": "level-switch", **search},
        "evaluation": {"backend": "serial"},
    }
    return searched_run(settings, problem=Bounded(), runs=runs, name="evopress")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(tmp_path_factory.mktemp("runs"))


def test_only_the_best_so_many_go_on_after_each_grade(run: Run) -> None:
    for generation, own in run.history[run.history["generation"] > 0].groupby("generation"):
        assert own["con.blocks"].value_counts().to_dict() == {8: 2, 4: 4, 2: len(own) - 6}, generation


def test_children_have_the_best_so_far_for_a_parent_and_its_size(run: Run) -> None:
    history = run.history.set_index("candidate")
    able = (history["con.blocks"] == 8) & (history["con.load"] <= Bounded().constraints[0].bound)
    for candidate, row in history[history["generation"] > 0].iterrows():
        before = history[able & (history["generation"] < row["generation"])]
        parent = before["obj.loss"].idxmin()
        assert row["parents"] == [parent], candidate
        assert sum(row["genome"]) == sum(history.loc[parent, "genome"])


def test_a_child_that_was_given_up_is_no_parent_though_the_best_of_the_others_breaks_its_bound() -> None:
    algorithm, space, rng, blocks = (
        EvoPress(offspring=2, survivors=[1]),
        Space.bits(["a", "b"]),
        np.random.default_rng(0),
        4,
    )
    operators = Operators(LatinSampling(), Plain(), UniformCrossover(), ByKindMutation(), (Legal(),))
    Evolution("evopress", algorithm, space, operators, rng, objectives=[Objective("loss")], population=1)
    losses = np.full((2, 1, blocks), 0.5)
    losses[1, 0, 2:] = np.nan
    noise = Noise(losses, np.ones(blocks), np.array([0.9, 0.0]))
    genomes, violation = np.eye(2, dtype=np.int64), np.array([0.9, 0.5])
    algorithm.tell(Measured(np.arange(2), genomes, losses[:, :, 0], violation, noise), rng)
    assert algorithm.population.tolist() == [0]


def test_without_grades_all_children_are_measured_in_full(tmp_path: Path) -> None:
    assert set(searched(tmp_path, grades="none").history["con.blocks"]) == {8.0}


@pytest.mark.parametrize("given", [{"offspring": 0}, {"survivors": []}, {"survivors": [8, 0]}])
def test_numbers_below_one_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="evopress: expected offspring and survivors of 1 or more"):
        EvoPress(**given)
