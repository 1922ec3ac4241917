"""Duplicates: what is new, what of it a generation proposes, and what is left of a small space."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators, genomes_in_range, spaces

from emoprune.evolution.duplicates import ENUMERABLE, Duplicates
from emoprune.space import IntArray, Space


def one_by_one(known: set[bytes], keys: list[bytes], limit: int) -> list[int]:
    """The definition: the first rows that are neither known nor among those chosen already."""
    seen, chosen = set(known), []
    for row, key in enumerate(keys):
        if key not in seen and len(chosen) < limit:
            chosen.append(row)
            seen.add(key)
    return chosen


@given(st.data(), st.integers(0, 12))
def test_the_first_new_genomes_are_those_that_a_loop_would_find(data: st.DataObject, limit: int) -> None:
    space = Space.bits(4)
    rng = data.draw(generators)
    before, genomes = rng.integers(0, 2, (5, 4)), rng.integers(0, 2, (20, 4))
    duplicates = Duplicates(space)
    duplicates.remember(before)
    expected = one_by_one(set(space.keys(before)), space.keys(genomes), limit)
    assert duplicates.first_new(genomes, limit).tolist() == expected
    assert len(duplicates) == len({*space.keys(before)}) + len(expected)


def test_what_a_generation_tried_and_did_not_propose_is_new_again() -> None:
    duplicates = Duplicates(Space.bits(3))
    duplicates.begin_generation()
    tried = np.eye(3, dtype=np.int64)
    assert duplicates.first_new(tried, 3).tolist() == [0, 1, 2]
    assert duplicates.keep(tried[:1]) == 0
    assert duplicates.first_new(tried, 3).tolist() == [1, 2]


def test_what_an_earlier_generation_found_and_what_is_named_twice_is_not_new_in_this_one() -> None:
    duplicates = Duplicates(Space.bits(3))
    genomes = np.eye(3, dtype=np.int64)
    duplicates.first_new(genomes[:1], 1)
    duplicates.begin_generation()
    duplicates.first_new(genomes[1:], 2)
    assert duplicates.keep(genomes[[0, 1, 1]]) == 2


def rest(duplicates: Duplicates, seed: int = 1) -> IntArray:
    return np.concatenate(
        [np.zeros((0, len(duplicates.space)), dtype=np.int64), *duplicates.rest(np.random.default_rng(seed))]
    )


@given(st.data(), spaces().filter(lambda space: space.size <= 2_000))
def test_the_rest_of_a_space_is_everything_that_is_not_known(data: st.DataObject, space: Space) -> None:
    known = genomes_in_range(space, 10, data.draw(generators))
    known = np.where(space.free, known, space.full)
    duplicates = Duplicates(space)
    duplicates.remember(known)
    left = rest(duplicates)
    keys = space.keys(left)
    assert len(set(keys)) == len(keys) == space.size - len(set(space.keys(known)))
    assert not set(keys) & set(space.keys(known))
    assert ((left >= 0) & (left < space.levels)).all()


def test_the_rest_comes_in_an_order_that_the_generator_decides() -> None:
    duplicates = Duplicates(Space.bits(8))
    assert (rest(duplicates, 1) == rest(duplicates, 1)).all()
    assert (rest(duplicates, 1) != rest(duplicates, 2)).any()


def test_a_space_is_enumerable_by_its_genomes_and_not_by_its_genes() -> None:
    assert ENUMERABLE == 2**22
    assert Duplicates(Space.bits(22)).enumerable
    assert not Duplicates(Space.bits(23)).enumerable
