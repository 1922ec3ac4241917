"""A run that an earlier version began, and a kill ended, goes on: its folder is a promise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import emoprune
from emoprune.commands.export import export
from emoprune.errors import ConfigError
from emoprune.report.page import write_page
from emoprune.run import Run

RUNS = Path(__file__).parents[1] / "data" / "runs"


def recorded(run: Run) -> list[dict[str, Any]]:
    columns = ["candidate_id", "generation", "split", "status", "genome_hash", "seed"]
    history = run.history
    return history[[name for name in columns if name in history]].to_dict("records")


@pytest.mark.parametrize(("name", "written"), [("digits", "model.safetensors"), ("breast-cancer", "features.json")])
def test_a_killed_run_of_an_earlier_version_resumes_reports_and_exports(
    tmp_path: Path, name: str, written: str
) -> None:
    path = Path(shutil.copytree(RUNS / name, tmp_path / name))
    before = recorded(Run(path))
    assert len(before) >= 20
    for _ in emoprune.resume(path):
        pass
    run = Run(path)
    assert run.progress.state.value == "finished"
    assert recorded(run)[: len(before)] == before
    assert run.generations["generation"].tolist() == [0, 1, 2, 3]
    assert write_page(run, tmp_path / "report.html").stat().st_size > 100_000
    folder, _ = export(run, "knee")
    assert (folder / written).is_file()


def test_a_run_that_was_begun_before_there_was_an_option_has_its_default(tmp_path: Path) -> None:
    path = Path(shutil.copytree(RUNS / "digits", tmp_path / "digits"))
    resolved = json.loads((path / "config.resolved.json").read_text())
    del resolved["problem"]["round_to"]
    (path / "config.resolved.json").write_text(json.dumps(resolved))
    assert emoprune.resume(path).config.problem.name == "channels"
    with pytest.raises(ConfigError, match=r"problem\.round_to: 1 -> 8"):
        emoprune.resume(path, overrides=["problem.round_to=8"])
