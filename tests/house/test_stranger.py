"""A stranger's package with a reference, a saliency, an objective and a recovery works as it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "data" / "stranger"
LIMIT = 200  # seconds; a command searches a small network


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder, from a copy, since building leaves files beside the source."""
    copy = Path(shutil.copytree(PACKAGE, tmp_path_factory.mktemp("source") / "stranger"))
    target = tmp_path_factory.mktemp("site")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, str(copy)], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


@pytest.fixture
def emoprune(place: Path, tmp_path: Path) -> Callable[..., str]:
    """Return the command in a process that finds the package."""

    def command(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(
            [sys.executable, "-m", "emoprune", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, f"$ emoprune {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    return command


SMALL = ("--backend", "serial", "--set", "search.population=4", "--set", "search.generations=1", "--name", "run")


def test_its_methods_are_on_the_menu(emoprune: Callable[..., str]) -> None:
    found = json.loads(emoprune("list", "methods", "--package", "emoprune-stranger", "--json"))
    assert {kind: list(own) for kind, own in found.items() if kind != "schema"} == {
        "saliencies": ["squared"],
        "references": ["tapered"],
        "objectives": ["largest-weight"],
        "recoveries": ["rescaled"],
    }
    assert found["references"]["tapered"]["cost"] == "nothing is run"


@pytest.mark.slow
def test_its_reference_its_objective_and_its_recovery_serve_channels(
    emoprune: Callable[..., str], tmp_path: Path
) -> None:
    options = ["problem.references=[{name: tapered, last: 0.5}]", "problem.objectives=[error, largest-weight]"]
    options += ["problem.at_most={largest-weight-share: 0.9}"]
    emoprune("run", "digits", *SMALL, *(word for each in options for word in ("--set", each)))
    table = (tmp_path / "runs" / "run" / "pareto.csv").read_text(encoding="utf-8")
    assert "obj.largest-weight" in table.splitlines()[0]
    assert "tapered" in (tmp_path / "runs" / "run" / "problem" / "references.json").read_text(encoding="utf-8")
    emoprune("recover", "run", "tapered", "--set", "method={name: rescaled, factor: 0.5}")
    line = json.loads((tmp_path / "runs" / "run" / "recovered.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert line["options"]["method"] == {"name": "rescaled", "factor": 0.5}
    assert set(line["after"]["test"]) == {"error", "largest-weight"}


def test_its_saliency_serves_weight_ratios(emoprune: Callable[..., str], tmp_path: Path) -> None:
    config = {
        "problem": {
            "name": "weight-ratios",
            "network": "digits",
            "data": "digits",
            "saliency": {"name": "squared", "power": 0.5},
            "references": ["uniform"],
        },
        "search": {"population": 4, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    (tmp_path / "weights.yaml").write_text(json.dumps(config), encoding="utf-8")
    emoprune("run", "weights.yaml", "--name", "weights")
    assert (tmp_path / "runs" / "weights" / "pareto.csv").is_file()
