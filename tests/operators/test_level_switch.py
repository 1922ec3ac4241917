"""Levels that change places: the sum of each kind stays, and so does what cannot move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import spaces

from emoprune.errors import ConfigError
from emoprune.operators.level_switch import LevelSwitchMutation
from emoprune.space import Gene, GeneKind, Group, Space
from emoprune.testing import MutationConformance, legal_genomes


class TestLevelSwitchMutation(MutationConformance):
    def operator(self) -> LevelSwitchMutation:
        return LevelSwitchMutation()


LEVELS = Space(tuple(Gene(f"layer{number}", 5, GeneKind.ORDERED) for number in range(8)))
BLOCKS = Space.bits(12, groups=[Group("attention", tuple(range(6))), Group("feed-forward", tuple(range(6, 12)))])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_the_sum_of_levels_stays_in_any_space(space: Space, seed: int) -> None:
    genomes = legal_genomes(space, 20, rng(seed))
    switched = LevelSwitchMutation()(space, genomes, rng(seed))
    assert switched.sum(axis=1).tolist() == genomes.sum(axis=1).tolist()
    assert (switched >= 0).all()
    assert (switched < space.levels).all()


def test_one_switch_lowers_one_gene_and_raises_another() -> None:
    genomes = rng(1).integers(0, 5, (200, 8))
    moved = LevelSwitchMutation(most=1)(LEVELS, genomes, rng()) - genomes
    assert (np.sort(moved, axis=1)[:, [0, -1]] == [-1, 1]).all()
    assert (np.abs(moved).sum(axis=1) == 2).all()


def test_each_number_of_switches_is_as_frequent_as_the_smaller_of_two_draws() -> None:
    genomes = np.tile(np.array([1] * 150 + [0] * 150), (6000, 1))  # so many that hardly any switch undoes another
    moved = (LevelSwitchMutation(most=3)(Space.bits(300), genomes, rng()) != genomes).sum(axis=1) // 2
    shares = np.bincount(moved, minlength=4)[1:] / 6000
    assert shares == pytest.approx([5 / 9, 3 / 9, 1 / 9], abs=0.03)


def test_what_lies_in_different_groups_never_changes_places() -> None:
    genomes = rng(2).integers(0, 2, (300, 12))
    switched = LevelSwitchMutation()(BLOCKS, genomes, rng())
    assert (switched[:, :6].sum(axis=1) == genomes[:, :6].sum(axis=1)).all()
    assert (switched != genomes).any()


def test_genomes_in_which_nothing_can_be_switched_stay() -> None:
    ends = np.array([[0] * 8, [4] * 8])
    assert (LevelSwitchMutation()(LEVELS, ends, rng()) == ends).all()


def test_fewer_than_one_switch_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most 1 switch or more, found 0"):
        LevelSwitchMutation(most=0)
