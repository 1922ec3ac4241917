"""A run that an earlier version began, and a kill ended, goes on: its folder is a promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import emoprune
from emoprune.commands.export import export
from emoprune.doctor.checks import Health
from emoprune.doctor.run_files import check_run
from emoprune.errors import ConfigError
from emoprune.problems.tables.subsets.features import FeaturesOptions
from emoprune.report.page import write_page
from emoprune.run import Run

RUNS = Path(__file__).parents[1] / "data" / "runs"


def recorded(run: Run) -> list[dict[str, Any]]:
    columns = ["candidate_id", "generation", "split", "status", "genome_hash", "seed"]
    history = run.history
    return history[[name for name in columns if name in history]].to_dict("records")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder to work in, with the model and the examples that some of the runs name by a relative path."""
    shutil.copytree(RUNS / "made-of", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRITTEN = {
    "digits": "model.safetensors",
    "heads-and-neurons": "model.safetensors",
    "prompt-tokens": "prompt.txt",
    "breast-cancer": "features.json",
}
TRAINED = ("digits", "heads-and-neurons", "format-2/heads-and-neurons")  # which take half a minute
SECOND = ["format-2/heads-and-neurons", "format-2/prompt-tokens", "format-2/breast-cancer"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in TRAINED else name for name in (*WRITTEN, *SECOND)]
)
def test_a_killed_run_of_an_earlier_version_resumes_reports_and_exports(place: Path, name: str) -> None:
    path = Path(shutil.copytree(RUNS / name, place / "run"))
    before = recorded(Run(path))
    assert len(before) >= 18
    for _ in emoprune.resume(path):
        pass
    run = Run(path)
    assert run.progress.state.value == "finished"
    assert recorded(run)[: len(before)] == before
    assert run.generations["generation"].tolist() == [0, 1, 2, 3]
    assert write_page(run, place / "report.html").stat().st_size > 100_000
    folder, _ = export(run, "knee")
    assert (folder / WRITTEN[Path(name).name]).is_file()


@pytest.mark.parametrize("name", SECOND)
def test_the_doctor_finds_a_killed_run_with_checksums_whole(name: str) -> None:
    assert {check.health for check in check_run(RUNS / name) if check.name != "status"} == {Health.OK}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_doctor_says_of_a_run_without_checksums_that_its_numbers_are_not_protected(name: str) -> None:
    found = {check.name: check for check in check_run(RUNS / name)}
    assert found["checksums"].health is Health.WARN
    assert "an altered number may not be noticed" in found["checksums"].found
    assert Health.FAIL not in {check.health for check in found.values()}


def test_a_run_that_was_begun_before_there_was_an_option_has_its_default(tmp_path: Path) -> None:
    path = Path(shutil.copytree(RUNS / "digits", tmp_path / "digits"))
    resolved = json.loads((path / "config.resolved.json").read_text())
    del resolved["problem"]["round_to"]
    (path / "config.resolved.json").write_text(json.dumps(resolved))
    assert emoprune.resume(path).config.problem.name == "channels"
    with pytest.raises(ConfigError, match=r"problem\.round_to: 1 -> 8"):
        emoprune.resume(path, overrides=["problem.round_to=8"])


OF_EARLIER = {"metric": "auto", "learner": "lightgbm", "race": 2.0, "costs": ["columns"]}


@pytest.mark.parametrize(
    ("given", "objectives", "changed"),
    [
        (
            {},
            ["error", "columns"],
            {
                "metric": "error",
                "mode": "select",
                "race": 0.0,
                "keep": [],
                "text": None,
                "learner": {"name": "lightgbm", "trees": None},
            },
        ),
        (
            {"learner": {"name": "lightgbm", "trees": 9}},
            ["root_mean_squared_error", "columns"],
            {"mode": "select", "race": 0.0, "keep": [], "text": None},
        ),
        ({"keep": [], "mode": "add"}, ["log_loss", "new-columns"], {"text": None}),
        ({"keep": [], "mode": "add", "text": []}, ["log_loss", "new-columns"], {}),
    ],
)
def test_a_table_s_run_goes_on_by_the_rules_that_it_began_with(
    given: dict[str, Any], objectives: list[str], changed: dict[str, Any]
) -> None:
    resolved = {**OF_EARLIER, **given}
    assert FeaturesOptions.of_earlier(resolved, objectives) == {"rows": None, **resolved, **changed}
