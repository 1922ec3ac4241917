"""Genes of a part, the ranking over all parts' fronts, and the schemes along it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import RunCorrupt
from emoprune.problems.networks.coupling.structure import CouplingGroup
from emoprune.problems.networks.subnetworks.choices import Choices, Member
from emoprune.problems.networks.subnetworks.genes import GeneForm
from emoprune.problems.networks.subnetworks.impairment import even_schemes, ranked, schemes
from emoprune.testing import legal_genomes

GROUPS = (CouplingGroup("a", 5, ()), CouplingGroup("b", 9, ()), CouplingGroup("c", 1, ()))
SCORES = [np.random.default_rng(2).random(group.units) for group in GROUPS]


@pytest.mark.parametrize("kind", ["levels", "units"])
@given(seed=st.integers(0, 1000))
def test_every_legal_genome_keeps_units_of_every_group(kind: str, seed: int) -> None:
    genes = GeneForm(kind, 16, 1, 0.0).genes(GROUPS, SCORES)  # type: ignore[arg-type]  # one of the two literals
    for genome in legal_genomes(genes.space, 5, np.random.default_rng(seed)):
        for group, units in zip(GROUPS, genes.kept(genome), strict=True):
            assert 1 <= len(units) <= group.units
            assert (np.diff(units) > 0).all()


@pytest.mark.parametrize("kind", ["levels", "units"])
@given(seed=st.integers(0, 1000))
def test_widths_become_the_best_units_of_each_group(kind: str, seed: int) -> None:
    genes = GeneForm(kind, 16, 1, 0.0).genes(GROUPS, SCORES)  # type: ignore[arg-type]  # one of the two literals
    widths = np.random.default_rng(seed).integers(1, [group.units + 1 for group in GROUPS])
    for width, scores, units in zip(widths, SCORES, genes.kept(genes.of_widths(widths)), strict=True):
        assert set(units) == set(np.argsort(-scores)[:width])


def test_the_full_genome_is_the_unpruned_part() -> None:
    for kind in ("levels", "units"):
        genes = GeneForm(kind, 4, 1, 0.0).genes(GROUPS, SCORES)  # type: ignore[arg-type]  # one of the two literals
        assert [len(units) for units in genes.kept(genes.space.full)] == [5, 9, 1]


FRONTS = st.lists(
    st.lists(st.tuples(st.floats(-0.1, 1), st.floats(0.01, 0.9)), min_size=0, max_size=6), min_size=1, max_size=4
)


@given(FRONTS)
def test_the_ranking_holds_every_member_once_by_rising_impairment(fronts: list[list[tuple[float, float]]]) -> None:
    impairments = [np.array([own[0] for own in front]) for front in fronts]
    savings = [np.array([own[1] for own in front]) for front in fronts]
    found = ranked(impairments, savings)
    assert len({tuple(row) for row in found.tolist()}) == sum(map(len, fronts)) == len(found)
    assert (np.diff([impairments[part][member] for part, member in found.tolist()]) >= 0).all()


@given(FRONTS)
def test_each_scheme_saves_more_than_the_one_before_and_differs_in_one_part(
    fronts: list[list[tuple[float, float]]],
) -> None:
    impairments = [np.array([*(own[0] for own in front), 0.0]) for front in fronts]
    savings = [np.array([*(own[1] for own in front), 0.0]) for front in fronts]
    unpruned = np.array([len(own) - 1 for own in savings])
    found = schemes(ranked(impairments, savings), savings, unpruned)
    np.testing.assert_array_equal(found[0], unpruned)
    assert ((found[1:] != found[:-1]).sum(axis=1) == 1).all()
    saved = [sum(own[place] for own, place in zip(savings, row, strict=True)) for row in found.tolist()]
    assert (np.diff(saved) > 0).all()
    for part, own in enumerate(savings):
        assert own[found[-1, part]] == own.max()


@given(st.lists(st.lists(st.floats(0.01, 0.9), min_size=0, max_size=6), min_size=1, max_size=4))
def test_even_schemes_go_from_saving_little_everywhere_to_saving_all_that_can_be(savings: list[list[float]]) -> None:
    known = [np.array([*own, 0.0]) for own in savings]
    found = even_schemes(known, [0.0, 0.5, 1.0])
    for part, own in enumerate(known):
        taken = own[found[:, part]]
        assert taken[0] == 0.0
        assert taken[2] == own.max()
        assert (np.diff(taken) >= 0).all()


def test_schemes_of_a_small_case_worked_out_by_hand() -> None:
    # part 0: a (impairs 0.01, saves 0.1), b (0.05, 0.3), unpruned; part 1: c (0.02, 0.2), unpruned
    impairments = [np.array([0.01, 0.05, 0.0]), np.array([0.02, 0.0])]
    savings = [np.array([0.1, 0.3, 0.0]), np.array([0.2, 0.0])]
    found = schemes(ranked(impairments, savings), savings, np.array([2, 1]))
    assert found.tolist() == [[2, 1], [0, 1], [0, 0], [1, 0]]


def choices() -> Choices:
    members = (
        (Member("candidate 3", [np.array([0, 2])], 0.1, 0.5), Member("unpruned", [np.arange(5)], 0.0, 0.0)),
        (Member("unpruned", [np.arange(9), np.array([0])], 0.0, 0.0),),
    )
    return Choices(
        ("part-1", "part-2"),
        ((0,), (1, 2)),
        members,
        {"unpruned": np.array([1, 0])},
        np.array([[1, 0], [0, 0]]),
        {"impairment ranking": [{"rank": 1, "part": "part-1"}]},
        ("part-2 stays unpruned",),
    )


def test_choices_are_the_same_after_a_file(tmp_path: Path) -> None:
    made = choices()
    made.save(tmp_path / "choices.json")
    again = Choices.load(tmp_path / "choices.json")
    assert [path.name for path in tmp_path.iterdir()] == ["choices.json"]
    assert again.notes == made.notes
    assert again.tables == made.tables
    np.testing.assert_array_equal(again.starts, made.starts)
    kept = again.kept(np.array([0, 0]), [np.arange(5), np.arange(9), np.arange(1)])
    assert [units.tolist() for units in kept] == [[0, 2], list(range(9)), [0]]
    assert [len(gene.name) > 0 and gene.levels for gene in again.space.genes] == [2, 1]


@pytest.mark.parametrize("text", ["", "{}", '{"parts": 3}', '{"parts": ["a"], "groups": [[0]], "members": [[1]]}'])
def test_a_damaged_file_of_choices_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "choices.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunCorrupt, match=r"choices.json cannot be read as choices among parts.*delete it"):
        Choices.load(tmp_path / "choices.json")
