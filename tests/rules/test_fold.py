"""Learning, trusting and pruning rules: the published figures, planted rules, and what may never happen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emoprune.problems.rules.standalone.fold import (
    Clause,
    Literal,
    Rule,
    Rules,
    Trusted,
    clauses_of,
    first_covering,
    improved,
    learnt,
    literals_in,
    pruned,
    wilson,
)

ROWS = np.zeros(0, dtype=np.int64)


def birds(seed: int, rows: int = 1000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return measurements, which are categories, and whether it flies: birds do, unless penguins; a fifth is wrong."""
    rng = np.random.default_rng(seed)
    kind, penguin = rng.choice(3, rows, p=[0.7, 0.15, 0.15]), (rng.random(rows) < 0.18).astype(float)
    flies = (kind == 0) & (penguin == 0)
    labels = np.where(rng.random(rows) < 0.2, ~flies, flies).astype(np.int64)
    matrix = np.column_stack([kind, penguin, rng.normal(size=(rows, 4))]).astype(np.float64)
    return matrix, np.array([True, True, False, False, False, False]), labels


@pytest.mark.parametrize(("right", "covered", "expected"), [(5, 5, 0.679), (50, 50, 0.924), (0, 0, 0.5)])
def test_confidences_are_the_centre_of_wilson_s_interval(right: int, covered: int, expected: float) -> None:
    assert wilson(right, covered) == pytest.approx(expected, abs=5e-4)


def test_a_planted_rule_is_learnt_to_the_letter() -> None:
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.uniform(size=300), rng.integers(0, 3, 300), rng.normal(size=300)])
    labels = ((matrix[:, 0] > 0.3) & (matrix[:, 1] != 2)).astype(np.int64)
    rules = learnt(matrix, np.array([False, True, False]), labels, 0.5)
    found = first_covering(rules, matrix)
    assert all(rule.label == label for rule, label in zip([rules[place] for place in found], labels, strict=True))
    said = {literal.column for clause in clauses_of(rules) for literal in clause.body}
    assert said == {0, 1}


def test_a_comparison_with_what_is_missing_does_not_hold() -> None:
    matrix = np.array([[np.nan], [1.0]])
    for operator in ("<=", ">", "==", "!="):
        assert not Literal(0, operator, 1.0).holds(matrix)[0]


def test_an_exception_that_improves_too_little_goes_and_is_looked_at_with_classes_swapped() -> None:
    matrix = np.arange(100, dtype=np.float64)[:, np.newaxis]
    own = np.ones(100, dtype=bool)
    own[90:] = False  # the exception is right ...
    own[95:] = True  # ... but for its own exception
    inner = Clause((Literal(0, ">", 94.0),), (), 2)
    useless = Clause((Literal(0, ">", 98.0),), (), 3)
    outer = Clause((Literal(0, ">", 89.0),), (inner, useless), 1)
    clause = Clause((Literal(0, ">", -1.0),), (outer,), 0)
    assert [each.number for each in improved(clause, matrix, own, 0.001).walk()] == [0, 1, 2]
    assert [each.number for each in improved(clause, matrix, own, 0.5).walk()] == [0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.02, 0.1]), st.sampled_from([0.0, 0.6, 0.9]))
def test_pruning_never_adds_a_literal_and_probabilities_are_some(seed: int, least: float, sure: float) -> None:
    matrix, categorical, labels = birds(seed, 80)
    matrix[np.random.default_rng(seed).random(matrix.shape) < 0.1] = np.nan
    rules = learnt(matrix, categorical, labels, 0.5)
    left = pruned(rules, matrix, labels, least, sure)
    assert literals_in(left) <= literals_in(rules)
    assert {clause.number for clause in clauses_of(left)} <= {clause.number for clause in clauses_of(rules)}
    trusted = Trusted.of(left, matrix, labels, 2)
    found = trusted.probabilities(matrix)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert ((found >= 0) & (found <= 1)).all()


def test_no_rules_at_all_give_the_most_frequent_class() -> None:
    trusted = Trusted.of((), np.zeros((10, 1)), np.array([0] * 7 + [1] * 3), 2)
    np.testing.assert_allclose(trusted.probabilities(np.zeros((2, 1))), [[11.5 / 19, 7.5 / 19]] * 2)


def test_a_set_that_is_always_right_but_of_one_class_gives_the_rest_to_the_others() -> None:
    rules: Rules = (Rule(0, Clause((Literal(0, "<=", 5.0),)), ROWS),)
    trusted = Trusted(rules, np.array([0, 0]), np.array([0.9, 0.5]), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(trusted.probabilities(np.array([[1.0]])), [[0.9, 0.05, 0.05]])


@pytest.mark.parametrize("noise", [0, 1])
def test_contradictory_rows_end_the_learning(noise: int) -> None:
    matrix = np.full((40, 2), np.nan if noise else 1.0)
    assert learnt(matrix, np.zeros(2, dtype=bool), np.arange(40) % 2, 0.5) == ()


def test_rules_are_no_more_than_asked_for() -> None:
    matrix, categorical, labels = birds(1)
    assert len(learnt(matrix, categorical, labels, 0.5, most=3)) == 3


def test_birds_fly_unless_they_are_penguins_under_a_fifth_of_noise() -> None:
    rules = [pruned(learnt(m, c, y, 0.5), m, y, 0.02, 0.75) for m, c, y in [birds(0)]]
    assert any(_flies(each) for each in rules)


def _flies(rules: Rules) -> bool:
    """Whether a set says: 1 if it is a bird, unless it is a penguin."""
    return any(
        rule.label == 1
        and rule.clause.body == (Literal(0, "==", 0.0),)
        and (Literal(1, "==", 1.0),) in [each.body for each in rule.clause.exceptions]
        for rule in rules
    )
