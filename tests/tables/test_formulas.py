"""Formulas: what the operators compute, what they learn, how many there are, and that they are only data."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tables_for_tests import mixed, table

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed, Kept
from emoprune.problems.tables.fitting import features_of, frame_of
from emoprune.problems.tables.formulas.catalogue import Catalogue, Kinds, check_operators
from emoprune.problems.tables.formulas.formula import (
    Column,
    Formula,
    Term,
    from_plain,
    order_of,
    plain_of,
    sources,
    unique_names,
)
from emoprune.problems.tables.formulas.learning import learnt_by
from emoprune.problems.tables.formulas.operators import OPERATORS, Takes
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.features import OPERATORS as COMPUTED
from emoprune.problems.tables.standalone.features import Values, encoded
from emoprune.problems.tables.standalone.readings import coded

NUMBERS = st.floats(-1e6, 1e6) | st.just(np.nan)
COLUMN = arrays.arrays(np.float64, 30, elements=NUMBERS)
CODES = arrays.arrays(np.int64, 30, elements=st.integers(0, 4))  # of three categories, missing and unseen


def values(numbers: np.ndarray | None = None, codes: np.ndarray | None = None) -> Values:
    return Values(numbers, codes, 3 if codes is not None else 0)


def applied(operator: str, *inputs: Values) -> np.ndarray:
    """Learn on the inputs and compute for the same rows."""
    return COMPUTED[operator](inputs, learnt_by(operator, inputs)).as_input()


def test_there_are_the_23_operators_of_openfe_and_each_is_computed() -> None:
    assert len(OPERATORS) == 23
    assert list(OPERATORS) == list(COMPUTED)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("absolute", [2.5, 0.0, 1.5]),
        ("logarithm", [np.log(2.5), np.nan, np.log(1.5)]),
        ("square-root", [2.5**0.5, 0.0, 1.5**0.5]),
        ("square", [6.25, 0.0, 2.25]),
        ("sigmoid", [1 / (1 + np.exp(2.5)), 0.5, 1 / (1 + np.exp(-1.5))]),
        ("floor", [-3.0, 0.0, 1.0]),
        ("residual", [0.5, 0.0, 0.5]),
        ("frequency", [1.0, 1.0, 1.0]),
    ],
)
def test_an_operator_of_one_number_computes_what_openfe_s_does(operator: str, expected: list[float]) -> None:
    found = applied(operator, values(np.array([-2.5, 0.0, 1.5])))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("minimum", [1.0, -4.0]),
        ("maximum", [2.0, 0.0]),
        ("add", [3.0, -4.0]),
        ("subtract", [-1.0, -4.0]),
        ("multiply", [2.0, 0.0]),
        ("divide", [0.5, np.nan]),
    ],
)
def test_an_operator_of_two_numbers_computes_what_openfe_s_does(operator: str, expected: list[float]) -> None:
    found = applied(operator, values(np.array([1.0, -4.0])), values(np.array([2.0, 0.0])))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@settings(deadline=None)
@given(CODES, COLUMN)
@pytest.mark.parametrize(
    ("operator", "statistic"),
    [
        ("group-minimum", "min"),
        ("group-maximum", "max"),
        ("group-mean", "mean"),
        ("group-median", "median"),
        ("group-deviation", "std"),
    ],
)
def test_group_statistics_are_those_of_pandas(
    operator: str, statistic: str, codes: np.ndarray, numbers: np.ndarray
) -> None:
    codes = np.minimum(codes, 2)
    found = applied(operator, values(codes=codes), values(numbers))
    expected = pd.Series(numbers).groupby(codes).transform(statistic).to_numpy(dtype=float)
    present = ~np.isnan(expected)  # where pandas has none, such as in a group of gaps, all rows stand in
    np.testing.assert_allclose(found[present], expected[present], rtol=1e-7, atol=1e-3)


@settings(deadline=None)
@given(CODES, COLUMN)
def test_ranks_within_groups_are_those_of_pandas_on_the_rows_they_were_learnt_on(
    codes: np.ndarray, numbers: np.ndarray
) -> None:
    codes = np.minimum(codes, 2)
    found = applied("group-rank", values(codes=codes), values(numbers))
    expected = pd.Series(numbers).groupby(codes).rank(pct=True).to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@given(CODES, CODES)
def test_pairs_of_categories_are_counted_as_pandas_counts_them(left: np.ndarray, right: np.ndarray) -> None:
    left, right = np.minimum(left, 2), np.minimum(right, 2)
    pairs = pd.DataFrame({"left": left, "right": right})
    counts = pairs.groupby(["left", "right"])["left"].transform("size").to_numpy(dtype=float)
    distinct = pairs.groupby("left")["right"].transform("nunique").to_numpy(dtype=float)
    both = values(codes=left), values(codes=right)
    np.testing.assert_array_equal(applied("combined-frequency", *both), counts)
    np.testing.assert_array_equal(applied("group-distinct", *both), distinct)
    joint = applied("combine", *both)
    assert len(np.unique(joint)) == len(pairs.drop_duplicates())


def test_unseen_categories_take_the_statistics_of_all_rows_and_counts_of_nothing() -> None:
    known = values(codes=np.array([0, 0, 1])), values(np.array([1.0, 3.0, 8.0]))
    unseen = values(codes=np.array([4])), values(np.array([5.0]))
    for operator, expected in {
        "group-mean": 4.0,
        "group-maximum": 8.0,
        "group-median": 3.0,
        "group-rank": 2.5 / 3,
    }.items():
        found = COMPUTED[operator](unseen, learnt_by(operator, known)).as_input()
        np.testing.assert_allclose(found, [expected])
    both = known[0], known[0]
    other = unseen[0], unseen[0]
    assert COMPUTED["frequency"](unseen[:1], learnt_by("frequency", known[:1])).as_input().tolist() == [0.0]
    assert COMPUTED["group-distinct"](other, learnt_by("group-distinct", both)).as_input().tolist() == [0.0]
    assert COMPUTED["combined-frequency"](other, learnt_by("combined-frequency", both)).as_input().tolist() == [0.0]
    assert np.isnan(COMPUTED["combine"](other, learnt_by("combine", both)).as_input()).all()


def test_a_missing_category_is_a_category_of_its_own() -> None:
    inputs = values(codes=np.array([3, 3, 0])), values(np.array([1.0, 3.0, 9.0]))
    assert applied("group-mean", *inputs).tolist() == [2.0, 2.0, 9.0]


def test_the_frequency_of_a_number_is_that_of_the_training_rows() -> None:
    learnt = learnt_by("frequency", [values(np.array([1.0, 1.0, 2.0, np.nan]))])
    found = COMPUTED["frequency"]([values(np.array([1.0, 5.0, np.nan, 2.0]))], learnt).as_input()
    assert found.tolist() == [2.0, 0.0, 1.0, 1.0]


def test_what_overflows_is_missing() -> None:
    with np.errstate(all="raise"):
        assert np.isnan(applied("square", values(np.array([1e200])))).all()


TERMS = table(mixed()).terms
FORMULAS = list(Catalogue(table(mixed()).kinds))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(FORMULAS), st.integers(0, 159))
def test_a_row_has_the_same_feature_alone_as_among_others(formula: Formula, row: int) -> None:
    data = table(mixed())
    rows = np.arange(len(data))
    block = Block("train", rows[:100], rows[100:])
    computed = Computed(data)
    features = features_of(computed, block, [formula])
    alone = features.transform(frame_of(data, np.array([row])))
    np.testing.assert_allclose(alone[0], computed.matrix([formula], block, rows)[row], rtol=1e-12)


def test_statistics_never_see_the_rows_that_are_scored() -> None:
    columns, target = mixed()
    changed = {**columns, "size": columns["size"].copy()}
    changed["size"][100:] += 1000.0
    formula = Formula("group-mean", (Column("city"), Column("size")))
    found = []
    for frame in (columns, changed):
        data = table((frame, target))
        block = Block("train", np.arange(100), np.arange(100, 160))
        found.append(Computed(data).matrix([formula], block, np.arange(160)))
    np.testing.assert_array_equal(*found)


@given(
    st.recursive(
        st.text().map(Column), lambda inner: st.tuples(inner, inner).map(lambda two: Formula("add", two)), max_leaves=6
    )
)
def test_a_formula_is_data_whatever_its_columns_are_called(term: Term) -> None:
    assert from_plain(json.loads(json.dumps(plain_of(term)))) == term


def test_columns_with_signs_and_brackets_in_their_names_are_only_names() -> None:
    formula = Formula("divide", (Formula("add", (Column("a+b"), Column("(c,d)"))), Column("e/f*")))
    assert str(formula) == "(a+b + (c,d)) / e/f*"
    assert sources(formula) == {"a+b", "(c,d)", "e/f*"}
    assert order_of(formula) == 2


def test_two_features_that_read_alike_have_different_names() -> None:
    alike = [Column("a + b"), Formula("add", (Column("a"), Column("b")))]
    assert unique_names(alike) == ["a + b", "a + b #2"]


@pytest.mark.parametrize(
    ("plain_formula", "complaint"),
    [
        ({"operator": "modulo", "inputs": []}, "no operator is called 'modulo'"),
        ({"operator": "add", "inputs": [{"column": "a"}]}, "expected 2 inputs, found 1"),
        ({"operator": "add"}, "expected .column: name."),
        ({"column": 3}, "expected .column: name."),
    ],
)
def test_what_is_no_formula_is_refused(plain_formula: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        from_plain(plain_formula)


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(0, 4), st.integers(0, 3))
def test_the_catalogue_holds_every_pair_once_and_counts_what_it_holds(
    plain_ones: int, ordinal: int, texts: int
) -> None:
    both = [Column(f"o{number}") for number in range(ordinal)]
    kinds = Kinds(
        (*(Column(f"n{number}") for number in range(plain_ones)), *both),
        (*both, *(Column(f"c{number}") for number in range(texts))),
    )
    catalogue = Catalogue(kinds)
    found = list(catalogue)
    assert len(set(found)) == len(found) <= catalogue.size
    unordered = {(each.operator, frozenset(each.inputs)) for each in found if OPERATORS[each.operator].commutes}
    assert len(unordered) == sum(OPERATORS[each.operator].commutes for each in found)
    quotients = {each.inputs for each in found if each.operator == "divide"}
    assert quotients == set(itertools.permutations(kinds.numbers, 2))
    assert all(len(set(each.inputs)) == len(each.inputs) for each in found)


def test_a_million_formulas_are_counted_and_drawn_from_without_listing_them() -> None:
    kinds = Kinds(tuple(Column(f"n{number}") for number in range(3000)), ())
    catalogue = Catalogue(kinds)
    assert catalogue.size > 30_000_000
    drawn = catalogue.drawn(500, np.random.default_rng(1))
    assert 450 < len(drawn) <= 500
    assert len(set(drawn)) == len(drawn)
    assert {each.operator for each in drawn} == {
        name for name in OPERATORS if Takes.CATEGORY not in OPERATORS[name].takes
    }
    assert drawn == catalogue.drawn(500, np.random.default_rng(1))


def test_formulas_of_formulas_do_not_combine_what_is_made_of_the_same_columns() -> None:
    made = Formula("add", (Column("a"), Column("b")))
    kinds = Kinds((Column("a"), Column("b"), Column("c")), ()).with_formulas([made])
    found = [each for each in Catalogue(kinds, ("multiply",)) if made in each.inputs]
    assert [{str(each) for each in formula.inputs} for formula in found] == [
        {"a", "a + b"},
        {"b", "a + b"},
        {"c", "a + b"},
    ]
    twin = Formula("multiply", (Column("a"), Column("b")))
    both = Catalogue(kinds.with_formulas([twin]), ("subtract",))
    assert not any(set(each.inputs) == {made, twin} for each in both)


def test_an_unknown_operator_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"no operator is called 'divid'.*'divide'"):
        check_operators(["divid"])


def test_what_is_kept_goes_when_there_is_too_much_of_it_the_oldest_first() -> None:
    kept: Kept[int] = Kept(10)
    for number in range(4):
        kept.put(number, number, 4)
    assert [kept.get(number) for number in range(4)] == [None, None, 2, 3]
    kept.get(2)
    kept.put(9, 9, 4)
    assert kept.get(2) == 2
    assert kept.get(3) is None


@pytest.mark.parametrize(
    ("given_values", "expected"),
    [
        ([1.0, 2.0, None], [0, 1, 2]),
        (["1", "7", None], [0, 3, 2]),
        ([np.nan, 3.0, 2.0], [2, 3, 1]),
    ],
)
def test_categories_that_are_numbers_are_found_however_they_are_written(
    given_values: list[object], expected: list[int]
) -> None:
    assert coded(plain(np.array(given_values, dtype=object)), (1.0, 2.0)).tolist() == expected


def test_texts_in_a_column_of_numbers_are_refused_and_named() -> None:
    with pytest.raises(ValueError, match="column 'size': expected numbers, found texts such as 'big'"):
        encoded({"name": "size", "kind": "numerical"}, plain(np.array(["big", None], dtype=object)))
    with pytest.raises(ValueError, match="column 'size': expected finite"):
        encoded({"name": "size", "kind": "numerical"}, np.array([np.inf]))
