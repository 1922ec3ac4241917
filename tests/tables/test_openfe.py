"""OpenFE's stages: what a feature adds, halving, attribution, and whether planted features are found."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from tables_for_tests import mixed, numbers, table

from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.catalogue import Catalogue
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.formulas.operators import OPERATORS
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe.boosting import constant, out_of_fold
from emoprune.problems.tables.openfe.halving import diverse, halved
from emoprune.problems.tables.openfe.proposing import guided
from emoprune.problems.tables.openfe.screening import CrossFittedGain, SingleTrees
from emoprune.problems.tables.openfe.two_stage import Generation, Start, two_stages
from emoprune.problems.tables.reading.sources import Source, read_table
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.table import Table

QUOTIENT = Formula("divide", (Column("x0"), Column("x1")))


def whole(data: Table) -> tuple[Computed, np.ndarray, Block, np.ndarray]:
    rows = np.arange(len(data))
    return Computed(data), rows, Block("all", rows, rows), rows % 5


def screen(data: Table) -> CrossFittedGain:
    computed, rows, block, folds = whole(data)
    return CrossFittedGain(computed, block, constant(data, rows), folds)


def regression(rows: int = 400, seed: int = 0) -> Table:
    """Return a table whose target is the quotient of two columns, and noise."""
    rng = np.random.default_rng(seed)
    columns = {f"x{number}": rng.lognormal(size=rows) for number in range(4)}
    return table((columns, columns["x0"] / columns["x1"] + 0.1 * rng.normal(size=rows)))


@pytest.mark.parametrize("frame", [mixed(), numbers()])
def test_out_of_fold_margins_are_better_than_a_constant_and_no_surer_than_they_are_right(frame: object) -> None:
    data = table(frame)  # type: ignore[arg-type]
    computed, rows, _, folds = whole(data)
    losses = {}
    for name, margins in {
        "boosted": out_of_fold(computed, rows, folds, TreeOptions(), 1),
        "constant": constant(data, rows),
    }.items():
        raw = margins.raw[:, 0]
        sure = np.logaddexp(0, np.where(data.target == 1, -raw, raw)).mean()
        losses[name] = sure if data.classes else ((raw - data.target) ** 2).mean()
    assert losses["boosted"] < losses["constant"]


def test_derivatives_are_those_of_the_loss() -> None:
    data, step = table(mixed()), 1e-5
    rows = np.arange(len(data))
    margins = constant(data, rows)

    def loss(raw: np.ndarray) -> np.ndarray:
        return np.asarray(np.logaddexp(0, np.where(data.target == 1, -raw, raw)))

    raw = margins.raw[:, 0]
    np.testing.assert_allclose((loss(raw + step) - loss(raw - step)) / (2 * step), margins.gradients[:, 0], atol=1e-6)
    second = (loss(raw + step) - 2 * loss(raw) + loss(raw - step)) / step**2
    np.testing.assert_allclose(second, margins.curvatures[:, 0], atol=1e-4)


def test_noise_adds_nothing_on_average_and_a_feature_that_tells_the_target_does() -> None:
    rng = np.random.default_rng(0)
    gains = []
    for seed in range(20):
        data = regression(200, seed)
        shuffled = data.with_target(rng.permutation(data.target))
        gains.append(screen(shuffled).gains([QUOTIENT], np.arange(200))[0])
    assert np.mean(gains) < 0
    assert screen(regression()).gains([QUOTIENT], np.arange(400))[0] > 0.1


def test_cross_fitted_gains_rank_features_much_as_trees_do() -> None:
    data = regression()
    computed, rows, block, folds = whole(data)
    margins = constant(data, rows)
    formulas = list(Catalogue(data.kinds))
    by_gain = CrossFittedGain(computed, block, margins, folds).gains(formulas, rows)
    by_trees = SingleTrees(computed, block, margins, folds, TreeOptions()).gains(formulas, rows)
    assert spearmanr(by_gain, by_trees).statistic > 0.8


@pytest.mark.parametrize("least", [5, 20])
def test_halving_keeps_what_adds_most_and_drops_what_is_the_same(least: int) -> None:
    data = regression()
    formulas = [*Catalogue(data.kinds), Formula("add", (QUOTIENT, Column("x3")))]
    twice = Formula("multiply", (QUOTIENT, QUOTIENT))  # the same order of rows, the same gain
    found = halved([twice, *formulas], screen(data), blocks=4, least=least, rng=np.random.default_rng(1))
    assert next(iter(found)) in {QUOTIENT, twice}
    assert not {QUOTIENT, twice} <= set(found)
    assert all(gain > 0 for gain in found.values())


def test_where_nothing_adds_anything_the_best_come_back_all_the_same() -> None:
    data = regression()
    noise = data.with_target(np.random.default_rng(5).permutation(data.target))
    some = [Formula("floor", (Column(name),)) for name in ("x0", "x1")]
    found = halved(some, screen(noise), blocks=4, least=1, rng=np.random.default_rng(1))
    assert found


def test_of_features_that_order_the_rows_alike_only_the_first_is_kept() -> None:
    data = regression()
    computed, _, block, _ = whole(data)
    alike = [Formula("logarithm", (Column("x0"),)), Formula("square", (Column("x0"),))]
    other = Formula("divide", (Column("x2"), Column("x3")))
    reverse = Formula("divide", (Column("x3"), Column("x2")))
    assert diverse(computed, block, [*alike, QUOTIENT, other, reverse], 10) == [QUOTIENT, other]
    assert diverse(computed, block, [QUOTIENT, other], 1) == [QUOTIENT]


def test_a_table_of_categories_alone_has_new_features_too() -> None:
    rng = np.random.default_rng(0)
    columns = {name: rng.choice(np.array(["p", "q", "r"], dtype=object), 200) for name in ("a", "b", "c")}
    target = np.where(columns["a"] == columns["b"], "same", "other").astype(object)
    data = table((columns, target))
    found = two_stages(
        Computed(data), np.arange(200), Generation(tuple(OPERATORS)), TreeOptions(), seed=1, start="constant"
    )
    both = (Column("a"), Column("b"))  # where all pairs differ in number, their frequencies tell them apart as well
    assert {Formula(name, both) for name in ("combine", "combined-frequency")} & set(found.ranked[:3])


def test_within_a_budget_formulas_like_the_good_ones_are_looked_at_more() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.lognormal(size=300) for number in range(30)}
    data = table((columns, columns["x0"] / columns["x1"] + 0.1 * rng.normal(size=300)))
    catalogue = Catalogue(data.kinds)
    found = guided(catalogue, 300, screen(data), np.arange(100), np.random.default_rng(1))
    assert len(found) == len(set(found)) <= 300
    of_x0 = [sum(Column("x0") in formula.inputs for formula in half) for half in (found[:150], found[150:])]
    assert of_x0[1] > of_x0[0]
    assert set(guided(catalogue, catalogue.size, screen(data), np.arange(100), rng)) == set(catalogue)


@pytest.mark.parametrize("start", ["boosted", "constant"])
def test_two_stages_find_the_same_features_again(start: Start) -> None:
    data = regression()
    found = [
        two_stages(Computed(data), np.arange(400), Generation(tuple(OPERATORS)), TreeOptions(), seed=2, start=start)
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert found[0].considered <= found[0].possible


def test_planted_features_are_found() -> None:
    data = read_table(Source("planted"))
    generation = Generation(tuple(OPERATORS))
    found = two_stages(Computed(data), np.arange(1800), generation, TreeOptions(), seed=0, start="constant")
    ranked = found.ranked[:12]
    assert Formula("group-mean", (Column("city"), Column("income"))) in ranked
    quotients = {Formula("divide", (Column(a), Column(b))) for a, b in (("debt", "income"), ("income", "debt"))}
    assert quotients & set(ranked)


def test_permutation_attribution_and_second_order_find_a_quotient_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.lognormal(size=500) for number in range(4)}
    data = table((columns, (columns["x0"] + columns["x1"]) / columns["x2"]))
    generation = Generation(("add", "divide"), order=2, attribution="permutation")
    found = two_stages(Computed(data), np.arange(500), generation, TreeOptions(), seed=0, start="constant")
    total = Formula("add", (Column("x0"), Column("x1")))
    parts = tuple(Formula("divide", (Column(name), Column("x2"))) for name in ("x0", "x1"))
    exact = {Formula("divide", (total, Column("x2"))), Formula("divide", (Column("x2"), total)), Formula("add", parts)}
    assert exact & set(found.ranked[:3])


def test_of_a_quotient_and_its_inverse_it_is_always_the_same_one() -> None:
    columns, target = numbers(120)
    data = table(({name: np.exp(values / 10) for name, values in columns.items()}, target))
    first, second = data.terms[:2]
    rows = np.arange(120)
    block = Block("all", rows, rows)
    one, other = Formula("divide", (first, second)), Formula("divide", (second, first))
    assert diverse(Computed(data), block, [other, one], 5) == diverse(Computed(data), block, [one, other], 5) == [one]
