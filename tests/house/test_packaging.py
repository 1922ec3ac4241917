"""What is installed is what lies in the folders: the wheel, the lists in pyproject.toml, the pinned versions."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"emoprune": "emoprune", "problems": "emoprune/problems", "operators": "emoprune/operators"}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def shipped(root: Path) -> set[str]:
    """Return every file of the three folders by its place in the wheel."""
    return {
        f"{package}/{path.relative_to(root / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def finished(command: list[str], cwd: Path, limit: float) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done


def built(folder: Path) -> Path:
    """Build the wheel from a copy, so that the checkout stays clean and no earlier build is taken for a part of it."""
    source = folder / "source"
    source.mkdir()
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source / name)
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder / "dist"),
        str(source),
    ]
    finished(command, folder, 90)
    return next((folder / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_folders_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = shipped(ROOT)
    assert sorted(expected - held) == [], "missing in the wheel: list the package, or its data, in pyproject.toml"
    assert sorted(held - expected) == [], "in the wheel, but in none of the folders"


def test_the_wheel_carries_its_licence_and_says_that_it_is_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "emoprune/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_listed_packages_are_the_folders() -> None:
    folders = {place.rpartition("/")[0].replace("/", ".") for place in shipped(ROOT) if place.endswith(".py")}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_every_package_folder_has_an_init_file() -> None:
    files = shipped(ROOT)
    folders = {place.rpartition("/")[0] for place in files if place.endswith(".py")}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in files] == []


@pytest.mark.parametrize("group", ["emoprune.problems", "emoprune.operators", "emoprune.examples"])
def test_every_entry_point_names_a_module_that_is_shipped(group: str) -> None:
    files = shipped(ROOT)
    targets = {
        name: re.split(r"[:\s]", target)[0] for name, target in PROJECT["project"]["entry-points"][group].items()
    }
    places = {
        name: {f"{module.replace('.', '/')}{end}" for end in (".py", "/__init__.py")}
        for name, module in targets.items()
    }
    assert [name for name, either in places.items() if not either & files] == []


def declared() -> dict[str, Requirement]:
    """Return every dependency in pyproject.toml, of the package and of its extras, by name."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    lines = [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]
    found = {canonicalize_name(Requirement(line).name): Requirement(line) for line in lines}
    return {name: requirement for name, requirement in found.items() if name != "emoprune"}


def pinned() -> dict[str, str]:
    """Return the exact versions in constraints.txt by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("#")[0].strip().split("==") for line in lines if line.split("#")[0].strip()]
    return {str(canonicalize_name(name)): version for name, version in pins}


def test_every_dependency_has_one_pinned_version_and_the_other_way_round() -> None:
    assert sorted(pinned()) == sorted(declared())


def test_the_pinned_versions_lie_within_the_ranges() -> None:
    pins = pinned()
    outside = {name: str(each) for name, each in declared().items() if not each.specifier.contains(pins[name])}
    assert outside == {}


@pytest.mark.slow
@pytest.mark.timeout(900)  # it downloads everything that emoprune needs
def test_two_lines_install_it_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    finished([sys.executable, "-m", "venv", str(environment)], elsewhere, 120)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    finished([*pip, "--constraint", str(ROOT / "constraints.txt"), f"{wheel}[networks]"], elsewhere, 720)
    emoprune = str(environment / "bin" / "emoprune")
    assert "resume" in finished([emoprune, "--help"], elsewhere, 30).stdout
    listed = finished([emoprune, "list"], elsewhere, 30).stdout
    names = [*PROJECT["project"]["entry-points"]["emoprune.problems"], "digits"]
    assert [name for name in names if name not in listed] == []
