"""Formulas of formulas: which there are, that none is looked at twice or beyond the budget, and that they are found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from tables_for_tests import table

from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of
from emoprune.problems.tables.formulas.catalogue import Catalogue, Kinds
from emoprune.problems.tables.formulas.formula import Column, Formula, order_of, sources
from emoprune.problems.tables.formulas.operators import OPERATORS
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe import two_stage
from emoprune.problems.tables.openfe.screening import CrossFittedGain
from emoprune.problems.tables.openfe.two_stage import Found, Generation, two_stages
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.features import load_features
from emoprune.problems.tables.subsets.export import write_features
from emoprune.problems.tables.table import Table

ROWS = 700
QUOTIENT = Formula("divide", (Column("a"), Column("b")))
MEAN = Formula("group-mean", (Column("city"), Column("c")))
DIFFERENCE = Formula("subtract", (QUOTIENT, MEAN))


def planted(seed: int = 0, noise: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a frame, and by how much a quotient of two columns is above the mean of a third by city."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.lognormal(0, 0.6, ROWS) for name in ("a", "b", "c")})
    for number in range(noise):
        frame[f"noise{number}"] = rng.lognormal(0, 0.6, ROWS)
    frame["city"] = rng.choice(list("pqrstuvw"), ROWS)
    frame["colour"] = rng.choice(["red", "blue", "green"], ROWS)
    frame["c"] *= frame["city"].map(dict(zip("pqrstuvw", rng.permutation(np.linspace(0.3, 3, 8)), strict=True)))
    return frame, (frame["a"] / frame["b"] - frame.groupby("city")["c"].transform("mean")).to_numpy()


def as_table(frame: pd.DataFrame, target: Any) -> Table:
    return table(({name: frame[name].to_numpy() for name in frame}, target))


def found(data: Table, order: int, **options: Any) -> Found:
    generation = Generation(tuple(OPERATORS), order=order, **options)
    rows = np.arange(len(data))
    return two_stages(Computed(data), rows, generation, TreeOptions(), seed=0, start="constant")


def likeness(data: Table, formulas: Any, signal: np.ndarray) -> float:
    """Return the largest rank correlation of some formulas with what was planted."""
    rows = np.arange(len(data))
    columns = Computed(data).matrix(formulas, Block("all", rows, rows), rows).T
    return float(max(abs(spearmanr(column, signal).statistic) for column in columns))


@settings(deadline=None)
@given(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3), st.integers(0, 4), st.integers(0, 3))
def test_what_is_new_is_all_there_is_but_what_is_made_of_older_features_alone(
    plain: int, ordinal: int, texts: int, numbers: int, categories: int
) -> None:
    both = [Column(f"o{number}") for number in range(ordinal)]
    older = Kinds(
        (*(Column(f"n{number}") for number in range(plain)), *both),
        (*both, *(Column(f"c{number}") for number in range(texts))),
    )
    made = [Formula("square", (Column(f"x{number}"),)) for number in range(numbers)]
    pairs = [Formula("combine", (Column(f"y{number}"), Column(f"z{number}"))) for number in range(categories)]
    kinds = older.with_formulas([*made, *pairs])
    catalogue, new = Catalogue(kinds, older=older), {*made, *pairs}
    listed = list(catalogue)
    unordered = [
        (each.operator, frozenset(each.inputs) if OPERATORS[each.operator].commutes else each.inputs) for each in listed
    ]
    assert len(set(unordered)) == len(listed) <= catalogue.size
    everything = {each for each in Catalogue(kinds) if new & set(each.inputs)}
    commuting = {(each.operator, frozenset(each.inputs)) for each in everything if OPERATORS[each.operator].commutes}
    assert {pair for pair in unordered if isinstance(pair[1], frozenset)} == commuting
    assert {each for each in listed if not OPERATORS[each.operator].commutes} == {
        each for each in everything if not OPERATORS[each.operator].commutes
    }
    drawn = catalogue.drawn(20, np.random.default_rng(0))
    assert len(set(drawn)) == len(drawn) <= 20
    assert set(drawn) <= set(listed)


@pytest.mark.parametrize("order", [2, 3])
def test_each_order_is_looked_at_within_the_budget_and_nothing_twice(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, signal = planted(noise=12)
    asked: list[Formula] = []

    class Noting(CrossFittedGain):
        def gains(self, terms: Any, places: Any) -> Any:
            asked.extend(terms)
            return super().gains(terms, places)

    monkeypatch.setattr(two_stage, "CrossFittedGain", Noting)
    answer = found(as_table(frame, signal), order, budget=300)
    orders = [order_of(each) for each in set(asked)]
    assert {own: orders.count(own) <= 300 for own in range(1, order + 1)} == dict.fromkeys(range(1, order + 1), True)
    assert min(orders.count(own) for own in range(1, order + 1)) > 200
    assert answer.considered == len(orders)
    unordered = {
        (each.operator, frozenset(each.inputs) if OPERATORS[each.operator].commutes else each.inputs)
        for each in set(asked)
    }
    assert len(unordered) == len(orders)
    assert not any(len(each.inputs) == 2 and sources(each.inputs[0]) == sources(each.inputs[1]) for each in asked)


@pytest.mark.parametrize("of_classes", [False, True])
def test_a_difference_of_a_quotient_and_a_mean_by_city_is_found_by_the_second_order_alone(of_classes: bool) -> None:
    frame, signal = planted()
    target = np.where(signal > 0, "above", "below").astype(object) if of_classes else signal
    data = as_table(frame, target)
    first, second = found(data, 1), found(data, 2)
    assert {order_of(each) for each in first.ranked} == {1}
    assert max(order_of(each) for each in second.ranked) == 2
    assert likeness(data, first.ranked, signal) < 0.9
    assert likeness(data, second.ranked[:1], signal) > 0.98
    assert second.ranked[0] in {DIFFERENCE, Formula("subtract", (MEAN, QUOTIENT))}


@pytest.mark.slow
def test_a_search_of_the_second_order_chooses_names_computes_and_exports_what_was_planted(tmp_path: Path) -> None:
    frame, signal = planted()
    rng = np.random.default_rng(1)
    y = np.where(signal + rng.normal(0, 0.1, ROWS) > 0, "above", "below")
    frame.loc[::50, "b"] = 0.0
    frame.loc[::30, "city"] = None
    options: dict[str, Any] = {"population": 6, "generations": 2, "folds": 2, "references": ("stable",)}
    features = EvolvedFeatures(order=2, survivors=6, random_state=0, **options).fit(frame, y)
    new = [term for term in features.formulas_ if not isinstance(term, Column)]
    assert any(order_of(term) == 2 and {"a", "b", "c", "city"} <= sources(term) for term in new)
    names = features.get_feature_names_out().tolist()
    assert len(set(names)) == len(names)
    features.save(tmp_path)
    loaded = EvolvedFeatures.load(tmp_path)
    np.testing.assert_array_equal(loaded.transform(frame), features.transform(frame))
    np.testing.assert_array_equal(loaded.transform(frame.iloc[[50]]), features.transform(frame)[[50]])
    typed = features.set_output(transform="pandas").transform(frame)
    assert {str(typed[str(term)].dtype) for term in new} <= {"float64", "category"}


def test_nested_formulas_are_written_and_computed_by_the_loader_alone(tmp_path: Path) -> None:
    frame, signal = planted()
    frame.loc[::50, "b"] = 0.0
    data, rows = as_table(frame, signal), np.arange(ROWS)
    pair = Formula("combine", (Column("city"), Column("colour")))
    terms = (
        DIFFERENCE,
        Formula("group-mean", (pair, QUOTIENT)),
        Formula("group-rank", (Column("city"), DIFFERENCE)),
        Formula("frequency", (pair,)),
        Formula("combine", (pair, Column("colour"))),
        Formula("group-distinct", (Column("city"), pair)),
    )
    block = Block("all", rows, rows)
    features = features_of(Computed(data), block, terms)
    assert features.names[:3] == [
        "(a / b) - (mean by city of c)",
        "mean by (city with colour) of (a / b)",
        "rank by city of ((a / b) - (mean by city of c))",
    ]
    write_features(tmp_path, features)
    expected = Computed(data).matrix(terms, block, rows)
    np.testing.assert_array_equal(load_features(tmp_path).transform(frame), expected)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import csv, json\n"
        "from features import load_features\n"
        "rows = list(csv.DictReader(open('rows.csv')))\n"
        "found = load_features().transform({name: [row[name] for row in rows[:60]] for name in rows[0]})\n"
        "print(json.dumps([[None if value != value else value for value in row] for row in found.tolist()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    alone = np.array(json.loads(done.stdout), dtype=float)
    np.testing.assert_allclose(alone, expected[:60], rtol=1e-12)
