"""A run as a study: read again by Optuna, whose own front is the run's."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from commands_for_tests import Command

from emoprune.commands.study import export_study
from emoprune.errors import ConfigError, StorageError
from emoprune.run import open_run


@pytest.fixture
def done(emoprune: Command, folder: Path) -> Path:
    """Return the folder of a finished run whose bound some candidates break."""
    assert emoprune("run", "knapsack.yaml", "--name", "done").code == 0
    return folder / "runs" / "done"


def read(path: Path) -> optuna.Study:
    (name,) = optuna.get_all_study_names(f"sqlite:///{path}")
    return optuna.load_study(study_name=name, storage=f"sqlite:///{path}")


def test_the_study_holds_every_candidate_and_its_best_trials_are_the_front(
    emoprune: Command, done: Path, folder: Path
) -> None:
    said = json.loads(emoprune("export-study", "done", "study.db", "--json").out)
    run, study = open_run(done), read(folder / "study.db")
    assert (said["schema"], said["trials"]) == ("emoprune.study/1", len(study.trials))
    assert study.study_name == "done"
    assert study.metric_names == ["loss", "weight"]
    for evaluation, trial in zip(run.evaluations(), study.trials, strict=True):
        assert list(trial.params.values()) == evaluation.candidate.genome.tolist()
        assert trial.values == list(evaluation.values.values())
        assert trial.user_attrs["candidate"] == evaluation.candidate.id
    names = {"unpruned", "uniform", "lightest"}
    assert {trial.user_attrs["reference"] for trial in study.trials} == {"", *names}
    best = np.unique([trial.values for trial in study.best_trials], axis=0)
    line = run.generations.iloc[-1]
    of_run = [
        [*evaluation.values.values()] for evaluation in run.evaluations() if evaluation.candidate.id in line["front"]
    ]
    np.testing.assert_array_equal(best, np.unique(of_run, axis=0))
    tested = [trial for trial in study.trials if trial.user_attrs["on the front"]]
    frame = run.pareto.set_index("candidate_id")
    for trial in tested:
        row = frame.loc[trial.user_attrs["candidate"]]
        assert trial.user_attrs["test.loss"] == row["test.loss"]


def test_a_bound_is_a_constraint_and_a_failure_a_failed_trial(emoprune: Command, folder: Path) -> None:
    for name, problem in (("bound", "Forbidden"), ("failed", "Failing")):
        emoprune("run", "knapsack.yaml", "--name", name, "--set", f"problem={{name: 'bad_problems:{problem}'}}")
    export_study(open_run(folder / "runs" / "bound"), folder / "bound.db")
    constraints = [trial.system_attrs["constraints"] for trial in read(folder / "bound.db").trials]
    assert constraints == [[0.8]] * len(constraints)
    assert read(folder / "bound.db").best_trials == []
    export_study(open_run(folder / "runs" / "failed"), folder / "failed.db")
    trials = read(folder / "failed.db").trials
    assert {trial.state for trial in trials} == {optuna.trial.TrialState.FAIL}
    assert "no scale" in trials[0].user_attrs["reason"]


def test_a_file_that_is_there_is_not_replaced(done: Path, folder: Path) -> None:
    (folder / "study.db").write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"study\.db is there already; name another file, or remove it"):
        export_study(open_run(done), folder / "study.db")
    assert (folder / "study.db").read_bytes() == b"mine"
    assert sorted(path.name for path in folder.glob(".*")) == []


def test_a_file_may_have_any_name_and_a_folder_that_is_not_there_is_refused(done: Path, folder: Path) -> None:
    count = export_study(open_run(done), folder / "a study?of=mine#1.db")
    assert [path.name for path in folder.glob("*.db")] == ["a study?of=mine#1.db"]
    (folder / "a study?of=mine#1.db").rename(folder / "study.db")
    assert len(read(folder / "study.db").trials) == count
    with pytest.raises(StorageError, match="the folder is gone"):
        export_study(open_run(done), folder / "nowhere" / "study.db")
    assert sorted(path.name for path in folder.glob(".*")) == []
