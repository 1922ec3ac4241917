"""Types are a test: mypy, strict, over every file of the product under its import name, and over the benchmarks.

problems/ and operators/ lie beside emoprune/ and are mapped into it, so `mypy -p emoprune` in the checkout would see
only a part and call it clean. The tree is laid out under its import names first, and the checked files are counted.
Benchmarks are run seldom, and a change of what they call would else be found by who runs them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "emoprune": "emoprune",
    "problems": "emoprune/problems",
    "operators": "emoprune/operators",
    "benchmarks": ".",
}
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))
CHECKED = [
    *(word for package in ("emoprune", "shared", "engines") for word in ("--package", package)),
    *(word for script in SCRIPTS for word in ("--module", script)),
]
LIMIT = 300  # seconds; the first run also reads the types of torch


def staged(folder: Path) -> Path:
    """Copy the modules into `folder` under their import names, with their times, so that mypy's cache holds."""
    for origin, place in FOLDERS.items():
        for path in (ROOT / origin).rglob("*.py"):
            copy = folder / place / path.relative_to(ROOT / origin)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    return folder


def mypy(folder: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(cache)]
    command = [sys.executable, "-m", "mypy", *settings, *CHECKED]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.fixture
def cache(request: pytest.FixtureRequest) -> Path:
    return request.config.cache.mkdir("mypy")


@pytest.mark.timeout(LIMIT + 30)
def test_every_file_of_the_product_and_of_the_benchmarks_is_checked_and_clean(tmp_path: Path, cache: Path) -> None:
    folder = staged(tmp_path)
    files = len(list(folder.rglob("*.py")))
    found = mypy(folder, cache)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(rf"no issues found in {files} source files", found.stdout), (
        f"expected {files} files to be checked, found: {found.stdout}a folder without __init__.py is not looked at"
    )


@pytest.mark.timeout(LIMIT + 30)
def test_a_planted_type_error_is_found_in_every_folder(tmp_path: Path, cache: Path) -> None:
    folder = staged(tmp_path)
    places = ["emoprune", "emoprune/problems/networks", "emoprune/operators", "shared"]
    source = "from emoprune.errors import ConfigError\n\nplanted: int = ConfigError()\n"
    for place in places:
        (folder / place / "planted.py").write_text(source, encoding="utf-8")
    found = mypy(folder, cache)
    assert found.returncode == 1, found.stderr
    for place in places:
        assert f"{place}/planted.py:3: error: Incompatible types in assignment" in found.stdout
