"""Feature boosting as published, a constant start, and both; what formulas are then found, and what a run records."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from strangers_for_tests import altered
from tables_for_tests import mixed, numbers, table

from emoprune.errors import ConfigError
from emoprune.loop.search import resume, search
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Column, Formula
from emoprune.problems.tables.formulas.operators import OPERATORS
from emoprune.problems.tables.learners.lightgbm import TreeOptions
from emoprune.problems.tables.openfe.boosting import constant, out_of_fold, published
from emoprune.problems.tables.openfe.screening import CrossFittedGain
from emoprune.problems.tables.openfe.two_stage import Generation, two_stages
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.subsets import features
from emoprune.problems.tables.subsets.features import FeatureSearch, FeaturesOptions
from emoprune.problems.tables.table import Table

ROWS = 600
REPEATED = Formula("logarithm", (Column("x0"),))
ADDING = Formula("multiply", (Column("x1"), Column("x2")))


def added() -> Table:
    """Return a table whose target is mostly a column; and the product of two others, which trees find hard."""
    rng = np.random.default_rng(3)
    columns = {"x0": rng.lognormal(size=ROWS), "x1": rng.normal(size=ROWS), "x2": rng.normal(size=ROWS)}
    return table((columns, 4.0 * (columns["x0"] > 1) + columns["x1"] * columns["x2"]))


def three_classes(rows: int = 240) -> Table:
    columns, _ = mixed(rows)
    return table((columns, np.digitize(columns["weight"] + 0.1 * columns["grade"], [0.8, 1.6]).astype(str)))


@pytest.mark.parametrize("data", [table(mixed(240)), table(numbers(240)), three_classes()], ids=lambda own: own.task)
def test_published_margins_are_those_of_lightgbm_itself_on_each_fold(data: Table) -> None:
    rows = np.arange(len(data))
    folds = np.random.default_rng(5).permutation(rows % 5)
    found = published(Computed(data), rows, folds, 7)
    inputs = Computed(data).matrix(data.terms, Block("all", rows, rows), rows)
    categories = [place for place, values in enumerate(data.values) if values.numbers is None]
    kind = lightgbm.LGBMClassifier if data.classes else lightgbm.LGBMRegressor
    expected = np.empty_like(found.raw)
    for fold in range(5):
        train, held = folds != fold, folds == fold
        model = kind(n_estimators=10_000, learning_rate=0.1, random_state=7, n_jobs=1, verbose=-1, deterministic=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the next name of an argument
            model.fit(
                inputs[train],
                data.target[train],
                eval_set=[(inputs[held], data.target[held])],
                categorical_feature=categories,
                callbacks=[lightgbm.early_stopping(200, verbose=False)],
            )
        options: dict[str, Any] = {"raw_score": True}
        raw = np.asarray(model.booster_.predict(inputs[held], num_iteration=model.best_iteration_, **options))
        expected[held] = raw.reshape(held.sum(), -1)
    np.testing.assert_allclose(found.raw, expected, rtol=1e-9)


def test_with_feature_boosting_what_repeats_a_column_adds_nothing_and_what_adds_something_is_first() -> None:
    data = added()
    rows = np.arange(ROWS)
    folds, block = np.random.default_rng(1).permutation(rows % 5), Block("all", rows, rows)
    gains = {}
    for name, margins in {
        "published": published(Computed(data), rows, folds, 1),
        "boosted": out_of_fold(Computed(data), rows, folds, TreeOptions(), 1),
        "constant": constant(data, rows),
    }.items():
        screen = CrossFittedGain(Computed(data), block, margins, folds)
        gains[name] = screen.gains([REPEATED, ADDING], rows)
    assert gains["constant"][0] > gains["constant"][1] > 0
    for name in ("published", "boosted"):
        assert gains[name][0] < 0 < gains[name][1]
    found = two_stages(Computed(data), rows, Generation(tuple(OPERATORS)), TreeOptions(), seed=1, start="published")
    assert found.ranked[0] == ADDING
    assert REPEATED not in found.ranked


def test_each_choice_looks_for_formulas_from_its_own_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    data, starts = table(mixed()), list[str]()

    def noted(*given: Any, **options: Any) -> Any:
        starts.append(options["start"])
        return two_stages(*given, **options)

    monkeypatch.setattr(features, "two_stages", noted)
    found = {}
    for choice in ("both", True, False):
        starts.clear()
        options = FeaturesOptions(data="data", folds=2, budget=40, feature_boosting=choice)
        found[choice] = FeatureSearch(data, options)._new_features(1)
        expected = {"both": ["boosted", "constant"], True: ["published"], False: ["constant"]}[choice]
        assert starts == 3 * expected
    assert found["both"] == FeatureSearch(data, FeaturesOptions(data="data", folds=2, budget=40))._new_features(1)
    assert found[True].considered < found["both"].considered


@pytest.mark.parametrize("given", ["published", None, 2, "true"])
def test_another_choice_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="feature_boosting: expected both, true or false"):
        FeaturesOptions(data="data", feature_boosting=given)
    columns, target = mixed()
    with pytest.raises(ValueError, match="feature_boosting: expected both, true or false"):
        EvolvedFeatures(feature_boosting=given).fit(pd.DataFrame(columns), target)


def config(**options: Any) -> dict[str, Any]:
    small = {"data": "iris", "budget": 20, "survivors": 2, "folds": 2, "references": []}
    return {
        "problem": {"name": "features", **small, **options},
        "search": {"population": 4, "generations": 2},
        "evaluation": {"backend": "serial"},
    }


@pytest.mark.parametrize("choice", [True, False, "both"])
def test_a_run_records_the_choice(tmp_path: Path, choice: Any) -> None:
    searching = search(config(feature_boosting=choice), runs=tmp_path)
    assert len(list(searching)) == 2
    recorded = json.loads((searching.run.path / "config.resolved.json").read_text())
    assert (
        recorded["problem"]["feature_boosting"] is choice or recorded["problem"]["feature_boosting"] == choice == "both"
    )


def test_a_run_from_before_there_was_a_choice_goes_on_from_both_starts(tmp_path: Path) -> None:
    searching = search(config(), runs=tmp_path, name="older")
    for _ in searching:
        searching.stop()
    path = searching.run.path / "config.resolved.json"
    plain = json.loads(path.read_text())
    assert plain["problem"].pop("feature_boosting") == "both"
    altered(path, problem=plain["problem"])
    resumed = resume(searching.run.path)
    list(resumed)
    assert resumed.run.progress.state.value == "finished"
    assert resumed.run.config["problem"].get("feature_boosting", "both") == "both"
