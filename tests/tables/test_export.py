"""What is exported: formulas to read, a loader that needs numpy alone, the model; verified where they will be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_for_tests import mixed

from emoprune.contracts import Audit
from emoprune.errors import ConfigError, ContractError, StorageError
from emoprune.problems.tables import EvolvedFeatures
from emoprune.problems.tables.formulas.formula import Column, Formula, Term, plain_of
from emoprune.problems.tables.standalone.features import load_features
from emoprune.problems.tables.streams.problem import TabularStream
from emoprune.problems.tables.subsets import export as exporting
from emoprune.problems.tables.subsets.audits.contract import SubsetFront
from emoprune.problems.tables.subsets.audits.folds_and_permutations import FoldsAndPermutations
from emoprune.problems.tables.subsets.feature_subset import FeatureSubset
from emoprune.records import Candidate, Split

KEPT: tuple[Term, ...] = (
    Column("city"),
    Formula("divide", (Column("size"), Column("weight"))),
    Formula("group-rank", (Column("city"), Column("weight"))),
    Formula("combine", (Column("city"), Column("colour"))),
    Formula("frequency", (Column("size"),)),
    Formula("logarithm", (Formula("add", (Column("weight"), Column("grade"))),)),
)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> FeatureSubset:
    made = FeatureSubset(
        data="tables_for_tests:mixed",
        metric="error",
        formulas=[plain_of(term) for term in KEPT[1:]],
        references=[],
        folds=2,
    )
    made.prepare(tmp_path_factory.mktemp("problem"), 1)
    made.setup("cpu", 1)
    return made


Real = np.random.default_rng


def genome_of(problem: FeatureSubset, kept: tuple[Term, ...] = KEPT) -> np.ndarray:
    genome = np.zeros(len(problem.space), dtype=np.int64)
    genome[[problem.space.names.index(str(term)) for term in kept]] = 1
    return genome


@pytest.fixture(scope="module")
def exported(problem: FeatureSubset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    said = problem.export(genome_of(problem), folder)
    assert said["verified"] == "in a fresh process without emoprune"
    return folder


def test_the_formulas_can_be_read(exported: Path) -> None:
    plan = json.loads((exported / "features.json").read_text(encoding="utf-8"))
    assert [feature["name"] for feature in plan["features"]] == [str(term) for term in KEPT]
    assert plan["features"][1]["formula"] == {
        "operator": "divide",
        "inputs": [{"column": "size"}, {"column": "weight"}],
    }
    assert plan["needs"] == ["city", "colour", "grade", "size", "weight"]
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert "`rank by city of weight`" in card
    assert "test error" in card


def test_nothing_on_the_disk_is_a_pickle(exported: Path) -> None:
    with np.load(exported / "statistics.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fi" for name in stored.files)
    assert not list(exported.glob("*.pkl"))


def test_the_features_are_computed_by_a_process_that_has_numpy_alone(exported: Path, tmp_path: Path) -> None:
    """What is computed there is what was evaluated, for frames of any kind and for texts never seen."""
    program = """
import sys, json
import numpy as np
from features import load_features
features = load_features()
frame = {"city": np.array(["b", None, "zzz"], object), "colour": np.array(["red"] * 3), "grade": np.array([1.0, 2, 3]),
         "size": np.array([1.0, np.nan, 3.0]), "weight": np.array([2.0, 0.5, 0.0])}
print(json.dumps([[None if value != value else value for value in row] for row in features.transform(frame).tolist()]))
assert not {"emoprune", "pandas", "sklearn", "lightgbm"} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=exported, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row[1] for row in rows] == [0.5, None, None]
    assert rows[2][0] is None
    loaded = EvolvedFeatures.load(exported)
    frame = pd.DataFrame(
        {
            "weight": [2.0, 0.5, 0.0],
            "size": [1.0, np.nan, 3.0],
            "grade": [1.0, 2, 3],
            "colour": "red",
            "city": ["b", None, "zzz"],
        }
    )
    expected = [[None if np.isnan(value) else value for value in row] for row in loaded.transform(frame).tolist()]
    assert rows == expected


def test_the_model_that_is_written_is_the_one_that_was_judged(problem: FeatureSubset, exported: Path) -> None:
    import lightgbm

    block = problem.task.parts.test
    columns, _ = mixed()
    rows = block.scored
    inputs = load_features(exported).transform({name: column[rows] for name, column in columns.items()})
    predictions = lightgbm.Booster(model_file=exported / "model.txt").predict(inputs)
    error = float(((np.asarray(predictions) > 0.5) != problem.task.table.target[rows]).mean())
    (row,) = problem.evaluate(genome_of(problem)[np.newaxis], np.zeros(1, dtype=np.uint64), Split.TEST)
    assert error == row[0]  # type: ignore[index]


def _double_statistics(folder: Path) -> None:
    with np.load(folder / "statistics.npz") as stored:
        doubled = {name: stored[name] * 2 for name in stored.files}
    np.savez(folder / "statistics.npz", **doubled)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (
            lambda folder: (folder / "features.py").write_text("raise SystemExit('broken')"),
            "cannot load it: broken",
        ),
        (_double_statistics, "what was reloaded is not what was evaluated"),
    ],
)
def test_an_export_that_is_not_what_was_evaluated_is_refused(
    problem: FeatureSubset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, complaint: str
) -> None:
    write = exporting.write_features

    def spoiled(folder: Path, features: Any) -> None:
        write(folder, features)
        spoil(folder)

    monkeypatch.setattr(exporting, "write_features", spoiled)
    with pytest.raises(ContractError, match=complaint):
        problem.export(genome_of(problem), tmp_path)


def test_a_folder_that_cannot_be_written_is_named(problem: FeatureSubset, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="cannot write 'taken'"):
        problem.export(genome_of(problem), tmp_path / "taken")


def test_a_learner_without_a_form_on_the_disk_exports_features_alone(tmp_path: Path) -> None:
    made = FeatureSubset(data="tables_for_tests:mixed", references=[], folds=1, learner="logistic")
    (tmp_path / "problem").mkdir()
    made.prepare(tmp_path / "problem", 1)
    made.setup("cpu", 1)
    said = made.export(made.space.full, tmp_path / "export")
    assert said["model"] == "none"
    assert not (tmp_path / "export" / "model.txt").exists()


@pytest.fixture(scope="module")
def audited(problem: FeatureSubset) -> Audit:
    genomes = [genome_of(problem, KEPT[:size]) for size in (1, 3, 6)]
    candidates = [Candidate(number, genome, 0, "test") for number, genome in enumerate(genomes)]
    return problem.audit(candidates, Path(), 1, repeats=2, permutations=2)


def test_an_audit_says_how_far_scores_hold_and_finds_no_leak_where_there_is_none(audited: Audit) -> None:
    findings = {finding.name: finding for finding in audited.findings}
    assert set(findings) == {
        "rank agreement with fresh folds",
        "rank agreement with the rows to test on",
        "optimism",
        "gain on a shuffled target",
    }
    assert not findings["gain on a shuffled target"].alarm
    assert [row["inputs"] for row in audited.tables["subsets"]] == [1, 3, 6]


def test_an_audit_sounds_the_alarm_where_an_input_tells_the_target_of_held_out_rows(
    problem: FeatureSubset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every shuffle undone, the shuffled target is the real one, which the columns do tell."""

    class Unshuffled:
        def permutation(self, values: np.ndarray) -> np.ndarray:
            return values

    monkeypatch.setattr(np.random, "default_rng", lambda seed=None: Unshuffled() if seed == 77 else Real(seed))
    front = SubsetFront(problem.task, problem._loaded, (KEPT,), Path(), 77, (1,), dict)
    found = FoldsAndPermutations(repeats=2, permutations=1)(front)
    assert {finding.name: finding.alarm for finding in found.findings}["gain on a shuffled target"]


def test_an_audit_of_nothing_is_refused(problem: FeatureSubset) -> None:
    with pytest.raises(ConfigError, match="at least 2 repeats and 1 permutation, found 1 and 0"):
        problem.audit([], Path(), 1, repeats=1, permutations=0)


def test_a_stream_is_exported_and_goes_on_from_where_it_was(tmp_path: Path) -> None:
    stream = TabularStream(data="tables_for_tests:stream", window=200, costs=["columns"])
    stream.setup("cpu", 1)
    said = stream.export(np.array([4, 2, 3, 0]), tmp_path)
    assert said["verified"] == "same columns in 5 later windows"
    assert said["kept now"] == "c10, c11, c12, c13, c14"
    plan = json.loads((tmp_path / "stream.json").read_text(encoding="utf-8"))
    assert plan["keep"] == 5
    assert plan["kept"] == [10, 11, 12, 13, 14]
