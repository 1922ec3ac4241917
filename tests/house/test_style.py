"""Style and formatting are tests: what `make lint` says, pytest says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def ruff(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_the_whole_tree_follows_the_rules() -> None:
    found = ruff("check", ".")
    assert found.returncode == 0, f"`make format` repairs most of it:\n{found.stdout}{found.stderr}"


def test_the_whole_tree_is_formatted() -> None:
    found = ruff("format", "--check", ".")
    assert found.returncode == 0, f"`make format` repairs it:\n{found.stdout}{found.stderr}"


@pytest.mark.parametrize("folder", ["emoprune", "problems", "operators", "tests", "benchmarks", "docs"])
def test_no_folder_is_hidden_from_the_check(folder: str) -> None:
    scripts = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py")}
    seen = {Path(line).relative_to(ROOT).as_posix() for line in ruff("check", "--show-files", ".").stdout.splitlines()}
    assert scripts <= seen, f"ruff does not look at {sorted(scripts - seen)}; see exclude in pyproject.toml"


def test_a_bare_import_of_a_mapped_folder_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text('"""A module."""\n\nfrom problems import networks\n\nprint(networks)\n', encoding="utf-8")
    found = ruff("check", "--config", str(ROOT / "pyproject.toml"), str(planted))
    assert found.returncode == 1, found.stderr
    assert "TID251" in found.stdout
