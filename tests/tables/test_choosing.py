"""What is chosen of a front: only what fresh folds show to be better than what one came with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, ShuffleSplit, TimeSeriesSplit
from tables_for_tests import mixed, table

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.tables.formulas.formula import Column, Formula, Term
from emoprune.problems.tables.learners.by_name import LearnerPlan
from emoprune.problems.tables.rows.given_splits import checked_splits
from emoprune.problems.tables.rows.splits import Block, SplitKind
from emoprune.problems.tables.scores.evidence import ALL_COLUMNS, GUESS, Evidence, compared, shrunk
from emoprune.problems.tables.subsets.choosing import Choice, chosen
from emoprune.problems.tables.subsets.comparing import FoundAnew, _firsts, evidence_of, fresh_cuts
from emoprune.problems.tables.subsets.features import FeaturesOptions
from emoprune.problems.tables.task import TableTask


def test_evidence_is_the_mean_difference_of_paired_losses_with_its_standard_error() -> None:
    ours, theirs = np.array([0.1, 0.2, 0.1, 0.3]), np.array([0.2, 0.2, 0.2, 0.2])
    found = compared(ours, theirs)
    assert found.difference == pytest.approx((ours - theirs).mean())
    assert found.error == pytest.approx((ours - theirs).std(ddof=1) / 2)
    assert not found.better()
    assert found.better(0.4)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_of_what_is_no_better_little_is_taken_for_better(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taken = 0
    for _ in range(200):
        rows = rng.normal(size=200)  # each row's difference, whichever fold scores it
        folds = [rows[rng.permutation(200)].reshape(5, 40).mean(axis=1) for _ in range(2)]
        taken += compared(np.concatenate(folds), np.zeros(10)).better()
    assert taken < 80


@pytest.mark.parametrize(("ours", "theirs"), [([0.1], [0.1]), ([0.1, 0.2], [0.1])])
def test_what_is_not_paired_is_refused(ours: list[float], theirs: list[float]) -> None:
    with pytest.raises(ContractError, match="paired losses of two or more folds"):
        compared(np.array(ours), np.array(theirs))


def test_the_best_of_several_doses_is_taken_for_half_as_far_from_their_mean() -> None:
    found = shrunk({1: Evidence(-0.05, 0.02), 2: Evidence(0.03, 0.01)})
    assert [each.difference for each in found.values()] == pytest.approx([-0.03, 0.01])
    assert [each.error for each in found.values()] == [0.02, 0.01]
    assert shrunk({}) == {}


RATIO = Formula("divide", (Column("size"), Column("weight")))
FRONT = pd.DataFrame(
    {
        "candidate_id": [0, 1, 2],
        "name": ["unpruned", "", ""],
        "knee": [0, 0, 1],
        "obj.columns": [9.0, 4.0, 2.0],
    }
)


@pytest.mark.parametrize(
    ("differences", "choice", "expected"),
    [
        ([0.0, -0.01, 0.01], "best", 0),  # within one standard error
        ([0.0, -0.03, 0.01], "best", 1),
        ([0.0, -0.01, 0.01], "sparse", 1),  # no worse, and smaller
        ([0.0, 0.01, 0.01], "sparse", 0),
        ([0.0, -0.01, 0.0], "sparse", 2),
        ([0.0, -0.03, 0.01], "knee", 2),
        ([0.0, -0.03, 0.01], 5, 1),
        ([0.0, -0.03, 0.01], 3, 2),
    ],
)
def test_a_choice_follows_the_evidence_of_fresh_folds(differences: list[float], choice: Choice, expected: int) -> None:
    evidence = {number: Evidence(each, 0.02) for number, each in enumerate(differences)}
    assert chosen(FRONT, evidence, {"columns": 1.0}, choice) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)], 0),  # a tie goes to what one came with
        ([(0.0, 0.0), (-0.01, 0.02), (0.0, 0.0)], 0),
        ([(0.0, 0.0), (-0.05, 0.06), (-0.03, 0.02)], 2),  # what is surer, not what differs more
        ([(0.0, 0.0), (-0.031, 0.02), (-0.03, 0.02)], 2),  # alike, and smaller
        ([(0.0, 0.0), (-0.034, 0.02), (-0.03, 0.02)], 1),
    ],
)
def test_the_best_is_the_cheapest_of_those_that_are_surely_better_and_lose_hardly_more(
    found: list[tuple[float, float]], expected: int
) -> None:
    evidence = {number: Evidence(*each) for number, each in enumerate(found)}
    assert chosen(FRONT, evidence, {"columns": 1.0}, "best") == expected


def test_of_a_size_what_scores_have_led_to_has_to_beat_what_none_has_led_to() -> None:
    front = FRONT.assign(name=["unpruned", "rfe-4", "forward-2"])

    def taken(difference: float, led: set[str]) -> int:
        evidence = {0: Evidence(0.0, 0.0), 1: Evidence(0.01, 0.02), 2: Evidence(difference, 0.02)}
        return chosen(front, evidence, {"columns": 1.0}, 4, led)

    assert taken(0.0, {"forward-2"}) == 1
    assert taken(-0.02, {"forward-2"}) == 2
    assert taken(0.0, set()) == 2


@pytest.mark.parametrize(
    ("choice", "complaint"),
    [
        ("largest", "choose: expected best, sparse, knee or a number"),
        (0, "choose: expected best, sparse, knee or a number"),
        (1, "no candidate has at most 1 columns"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(choice: Choice, complaint: str) -> None:
    evidence = {number: Evidence(0.0, 0.02) for number in range(3)}
    with pytest.raises(ConfigError, match=complaint):
        chosen(FRONT, evidence, {"columns": 1.0}, choice)


@pytest.mark.parametrize("choice", ["best", "sparse"])
def test_without_evidence_one_keeps_what_one_came_with(choice: Choice) -> None:
    assert chosen(FRONT, {}, {"columns": 1.0}, choice) == 0


def test_a_number_of_columns_needs_a_cost_that_counts_them() -> None:
    with pytest.raises(ConfigError, match="a number of columns needs"):
        chosen(FRONT.drop(columns="obj.columns"), {0: Evidence(0.0, 0.0)}, {}, 3)


def test_fresh_folds_cover_all_rows_but_those_to_test_on_and_are_not_those_of_the_search() -> None:
    task = TableTask(table(mixed(200)), FeaturesOptions(data="mixed"))
    folds = [block for blocks in fresh_cuts(task, 0) for block in blocks]
    known = np.sort(np.concatenate([task.parts.search, task.parts.select.scored]))
    assert len(folds) == 10
    for block in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([block.train, block.scored])), known)
    searched = {block.scored.tobytes() for block in task.parts.folds}
    assert not searched & {block.scored.tobytes() for block in folds}


def test_folds_in_the_order_of_time_are_not_repeated() -> None:
    task = TableTask(table(mixed(200)), FeaturesOptions(data="mixed", splits="time"))
    assert [len(blocks) for blocks in fresh_cuts(task, 0)] == [5]


def test_splits_that_are_given_cut_the_fresh_folds_too() -> None:
    pairs = list(KFold(4).split(np.zeros(200)))
    for splits, cuts in ((TimeSeriesSplit(3, gap=5), 1), (pairs, 1), (ShuffleSplit(3, test_size=0.2), 2)):
        task = TableTask(table(mixed(200)), FeaturesOptions(data="mixed", splits=checked_splits(splits, SplitKind)))
        known = np.sort(np.concatenate([task.parts.search, task.parts.select.scored]))
        found = fresh_cuts(task, 0)
        assert len(found) == cuts
        for block in (block for blocks in found for block in blocks):
            assert set(block.train) | set(block.scored) <= set(known)
            assert isinstance(splits, ShuffleSplit | list) or block.scored.min() - block.train.max() == 6
        if splits is pairs:
            for block, (train, scored) in zip(found[0], pairs, strict=True):
                np.testing.assert_array_equal(block.train, np.intersect1d(train, known))
                np.testing.assert_array_equal(block.scored, np.intersect1d(scored, known))


def test_a_column_of_noise_is_no_evidence_and_a_column_that_tells_the_target_is() -> None:
    data = table(mixed(300))
    task = TableTask(data, FeaturesOptions(data="mixed", learner={"name": "lightgbm", "trees": 40}))
    subsets = {0: data.terms, 1: data.terms[-2:]}
    evidence = evidence_of(task, task.settings(), subsets, (), found_anew=lambda folds: None, whole_kept=True, seed=0)
    assert evidence[0] == Evidence(0.0, 0.0, ALL_COLUMNS)
    assert evidence[1].worse(2.0)


def test_only_all_columns_with_the_first_new_features_stand_for_a_way_to_find_them() -> None:
    columns = table(mixed(60)).terms
    assert _firsts((*columns, RATIO), columns, [RATIO]) == 1
    assert _firsts(columns[:2], columns, [RATIO]) == 0  # nothing was looked for
    assert _firsts((RATIO,), columns, [RATIO]) is None  # it stands in for columns
    assert _firsts((*columns, RATIO), columns, [Formula("divide", (Column("weight"), Column("size"))), RATIO]) is None


def test_a_subset_is_judged_with_trees_for_few_columns_or_for_many_and_after_as_much_training_as_it_wants() -> None:
    task = TableTask(table(mixed(200)), FeaturesOptions(data="mixed"))
    task.plan = LearnerPlan("lightgbm", {"leaves": 4, "rows_per_leaf": 60, "columns_per_tree": 1.0, "trees": 8})
    few, many = task.settings()
    block = task.parts.folds[0]
    for loaded in (few, many):
        losses = task.staged_losses(loaded, block, task.table.terms, 0)
        full = task.losses(loaded, [block], task.table.terms, 0)[0]
        assert 2 <= len(losses) <= 5
        assert len(losses) < 3 or losses[2] == full  # a quarter, half, all of the trees
    given = TableTask(table(mixed(200)), FeaturesOptions(data="mixed", learner={"name": "lightgbm", "trees": 8}))
    (alone,) = given.settings()
    assert given.staged_losses(alone, block, given.table.terms, 0).shape == (1,)


def test_where_nothing_is_found_anew_nothing_is_charged() -> None:
    data = table(mixed(200))
    task = TableTask(data, FeaturesOptions(data="mixed", learner={"name": "lightgbm", "trees": 10}))
    noise = Formula("multiply", (Column("noise0"), Column("noise1")))
    subsets: dict[int, Sequence[Term]] = {0: data.terms, 1: (*data.terms, noise)}
    evidence = evidence_of(
        task,
        task.settings(),
        subsets,
        [RATIO],
        found_anew=lambda folds: [[RATIO] for _ in folds],
        whole_kept=True,
        seed=0,
    )
    assert evidence[1] == evidence[0] == Evidence(0.0, 0.0)  # on no fold it is found, so it counts on none


def test_a_subset_of_which_no_input_counts_on_some_folds_is_a_guess_there() -> None:
    task = TableTask(table(mixed(200)), FeaturesOptions(data="mixed", mode="select"))
    cuts = fresh_cuts(task, 0)
    subsets: dict[int, Sequence[Term]] = {0: task.table.terms, 1: (RATIO,)}
    ways = [[RATIO] if place % 2 else [] for place in range(len(cuts[0]))]
    found = evidence_of(task, task.settings(), subsets, (), found_anew=lambda folds: ways, whole_kept=True, seed=0)
    assert found[1].difference > 0


def test_where_all_columns_are_no_better_than_a_guess_subsets_are_held_against_the_guess() -> None:
    data = table(mixed(300))
    shuffled = data.with_target(np.random.default_rng(0).permutation(data.target))
    task = TableTask(shuffled, FeaturesOptions(data="mixed", learner={"name": "lightgbm", "trees": 40}))
    evidence = evidence_of(
        task,
        task.settings(),
        {0: data.terms, 1: data.terms[:1]},
        (),
        found_anew=lambda folds: None,
        whole_kept=True,
        seed=0,
    )
    assert evidence[0].worse()
    assert not evidence[1].better()
    assert evidence[0].against == evidence[1].against == GUESS


def test_what_was_found_on_all_rows_is_judged_by_what_each_fold_finds_and_others_are_charged_with_that() -> None:
    data = table(mixed(300))
    task = TableTask(data, FeaturesOptions(data="mixed", learner={"name": "lightgbm", "trees": 40}))
    noise = [Formula("multiply", (Column("noise0"), Column(name))) for name in ("noise1", "size", "weight")]
    subsets: dict[int, Sequence[Term]] = {
        0: data.terms,
        1: (*data.terms, RATIO),  # the first survivor
        2: (*data.terms, noise[0]),
    }

    def finds_noise(folds: Sequence[Block]) -> list[list[Formula]]:
        return [noise for _ in folds]

    def finds_the_ratio(folds: Sequence[Block]) -> list[list[Formula]]:
        return [[RATIO, *noise] for _ in folds]

    def evidence(found_anew: FoundAnew) -> dict[int, Evidence]:
        return evidence_of(
            task, task.settings(), subsets, [RATIO, noise[1]], found_anew=found_anew, whole_kept=True, seed=0
        )

    found = evidence(finds_noise)
    plain = evidence(finds_the_ratio)
    assert plain[1].difference < plain[2].difference
    assert found[1].difference == pytest.approx(plain[2].difference)  # whatever all rows found, the folds find noise
    assert found[2].difference == pytest.approx(plain[2].difference + max(found[1].difference, 0.0))
    assert found[0] == plain[0] == Evidence(0.0, 0.0)
    assert found[2].measured == plain[2].measured == plain[2].difference  # which is charged with nothing
