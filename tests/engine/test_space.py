"""Space: legality, keys, and what a space refuses to be."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import any_genomes, counts, generators, genomes_in_range, spaces

from emoprune.errors import ContractError
from emoprune.space import Gene, GeneKind, Group, IntArray, Space

WIDE = Space.ordered([("narrow", 2), ("byte", 256), ("two-bytes", 257), ("four-bytes", 70_000)])


def is_legal(space: Space, genome: list[int]) -> bool:
    """The definition, one genome and one rule at a time."""
    for gene, level in zip(space.genes, genome, strict=True):
        if not 0 <= level < gene.levels or gene.locked not in (None, level):
            return False
    for group in space.groups:
        levels = [genome[gene] for gene in group.genes]
        if sum(level > 0 for level in levels) < group.floor:
            return False
        if group.interchangeable and levels != sorted(levels):
            return False
    return True


@given(spaces(), counts, generators)
def test_legality_agrees_with_the_rules_taken_one_by_one(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = np.concatenate([any_genomes(space, count, rng), genomes_in_range(space, count, rng), space.full[None]])
    assert space.legal(genomes).tolist() == [is_legal(space, genome) for genome in genomes.tolist()]


@given(spaces())
def test_the_full_genome_is_legal_and_on_wherever_it_may_be(space: Space) -> None:
    assert space.legal(space.full).all()
    assert (space.full[space.free] == space.levels[space.free] - 1).all()


@given(spaces(), counts, generators)
@example(WIDE, 20, np.random.default_rng(1))
def test_keys_are_equal_exactly_where_genomes_are(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = genomes_in_range(space, count, rng)
    genomes = np.concatenate([genomes, genomes[rng.permutation(count)[: count // 2]]])
    assert len(set(space.keys(genomes))) == len({tuple(genome) for genome in genomes.tolist()})


@given(spaces(), counts, generators)
@example(WIDE, 20, np.random.default_rng(1))
@example(Space.bits(17), 20, np.random.default_rng(1))
def test_keys_sort_like_genomes(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = genomes_in_range(space, count, rng)
    keys = space.keys(genomes)
    by_key = sorted(range(count), key=keys.__getitem__)
    assert genomes[by_key].tolist() == sorted(genomes.tolist())


@given(spaces(), st.integers(1, 20), generators)
def test_a_key_is_the_same_alone_and_in_a_batch(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = genomes_in_range(space, count, rng)
    assert [space.key(genome) for genome in genomes] == space.keys(genomes)


def test_a_key_of_bits_takes_one_bit_per_gene() -> None:
    assert len(Space.bits(200).key(np.ones(200, dtype=np.int64))) == 25


def test_no_genomes_have_no_keys() -> None:
    assert Space.bits(3).keys(np.zeros((0, 3), dtype=np.int64)) == []
    assert Space.bits(3).from_keys([]).shape == (0, 3)


@given(spaces(), counts, generators)
def test_genomes_come_back_from_their_keys(space: Space, count: int, rng: np.random.Generator) -> None:
    genomes = genomes_in_range(space, count, rng)
    np.testing.assert_array_equal(space.from_keys(space.keys(genomes)), genomes)


def test_the_size_counts_the_genomes_that_locks_allow() -> None:
    space = Space((Gene("a"), Gene("b", 3, GeneKind.ORDERED), Gene("c", 4, GeneKind.CATEGORY, locked=2)))
    every = np.array(list(itertools.product(range(2), range(3), range(4))))
    assert space.size == space.legal(every).sum() == 6


def test_genes_with_a_lock_or_a_single_level_are_not_free() -> None:
    space = Space((Gene("free"), Gene("locked", locked=0), Gene("single", 1, GeneKind.ORDERED)))
    assert space.free.tolist() == [True, False, False]


def test_genes_are_found_by_kind_and_named_in_order() -> None:
    space = Space((Gene("a"), Gene("b", 3, GeneKind.ORDERED), Gene("c", 4, GeneKind.CATEGORY)))
    assert space.of_kind(GeneKind.ORDERED).tolist() == [False, True, False]
    assert space.names == ("a", "b", "c")
    assert Space.bits(2).names == ("gene0", "gene1")
    assert Space.bits(["x", "y"]).names == ("x", "y")


@pytest.mark.parametrize("given_as", [bool, float, np.uint8, list])
def test_whole_numbers_of_any_type_are_genomes(given_as: Callable[..., object]) -> None:
    plain = [[1, 0, 1]]
    found = Space.bits(3).as_genomes(plain if given_as is list else np.array(plain).astype(given_as))  # type: ignore[call-overload]  # every type in the list is one
    assert found.tolist() == plain
    assert found.dtype == np.int64


@pytest.mark.parametrize(
    ("genomes", "complaint"),
    [
        ([[1, 0]], r"expected shape \(n, 3\), found \(1, 2\)"),
        (np.zeros((1, 1, 3)), r"expected shape \(n, 3\), found \(1, 1, 3\)"),
        ([[0.5, 0, 1]], "expected whole numbers, found float64 with fractions"),
    ],
)
def test_what_is_no_genome_is_refused(genomes: IntArray, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        Space.bits(3).as_genomes(genomes)


def test_a_check_names_the_source_and_the_first_illegal_genome() -> None:
    space = Space.bits(3, groups=[Group("any", (0, 1, 2), floor=1)])
    with pytest.raises(ContractError, match=r"mutation: 2 of 3 genomes are illegal, the first is \[0, 0, 0\]"):
        space.check([[1, 0, 0], [0, 0, 0], [2, 0, 0]], "mutation")


def test_a_check_returns_legal_genomes_unchanged() -> None:
    assert Space.bits(2).check([[1, 0], [0, 0]], "test").tolist() == [[1, 0], [0, 0]]


def test_a_space_cannot_be_changed_from_outside() -> None:
    costs = np.ones(2)
    space = Space((Gene("a"), Gene("b")), costs=costs)
    costs[0] = 5.0
    assert space.costs is not None
    assert space.costs.tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        space.levels[0] = 9


@given(spaces())
def test_a_space_survives_pickling(space: Space) -> None:
    copy = pickle.loads(pickle.dumps(space))  # noqa: S301  # only what was just dumped is loaded
    assert (copy.genes, copy.groups) == (space.genes, space.groups)
    assert copy.key(space.full) == space.key(space.full)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Gene("a", 0, GeneKind.ORDERED), "gene 'a': expected at least 1 level, found 0"),
        (lambda: Gene("a", 3), "gene 'a': a bit has 2 levels, found 3; use kind ORDERED"),
        (lambda: Gene("a", locked=2), r"gene 'a': locked to 2, outside its levels 0\.\.1"),
        (lambda: Group("g", (0, 1), floor=3), "group 'g': floor 3 for 2 genes; lower the floor"),
        (lambda: Group("g", (0, 0)), "group 'g' names a gene twice"),
        (lambda: Space(()), "a space needs at least one gene, found none"),
        (lambda: Space.bits(2, groups=[Group("g", (1, 2))]), r"group 'g' names genes \[2\] outside 0\.\.1"),
        (
            lambda: Space((Gene("a", locked=0), Gene("b")), (Group("g", (0, 1), floor=2),)),
            "group 'g': at least 2 genes must be on, but locks leave only 1",
        ),
        (lambda: Space((Gene("a"),), costs=np.ones(2)), r"costs: expected 1 finite .* found shape \(2,\)"),
        (lambda: Space((Gene("a"),), costs=np.array([-1.0])), "costs: expected 1 finite non-negative numbers"),
        (lambda: Space((Gene("a"),), costs=np.array([np.nan])), "costs: expected 1 finite non-negative numbers"),
    ],
)
def test_what_cannot_be_a_space_is_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        make()


def test_slots_that_cannot_trade_places_are_refused() -> None:
    words = [Gene(f"slot{i}", 5, GeneKind.CATEGORY) for i in range(3)]
    slots = Group("slots", (0, 1, 2), interchangeable=True)
    with pytest.raises(ContractError, match="need equal levels and kinds and no locks"):
        Space((*words[:2], Gene("odd", 4, GeneKind.CATEGORY)), (slots,))
    with pytest.raises(ContractError, match="need equal levels and kinds and no locks"):
        Space((*words[:2], Gene("fixed", 5, GeneKind.CATEGORY, locked=1)), (slots,))
    with pytest.raises(ContractError, match="need equal costs"):
        Space(tuple(words), (slots,), costs=np.array([1.0, 1.0, 2.0]))
    with pytest.raises(ContractError, match=r"share genes \[0, 1\]"):
        Space(tuple(words), (slots, Group("first", (0, 1), floor=1)))
    with pytest.raises(ContractError, match=r"share genes \[2\]"):
        Space((*words, Gene("more", 5, GeneKind.CATEGORY)), (slots, Group("others", (2, 3), interchangeable=True)))
    assert len(Space(tuple(words), (slots, Group("all", (0, 1, 2), floor=2)))) == 3
