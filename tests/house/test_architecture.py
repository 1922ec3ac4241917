"""Who may import whom, and which library lives where: read from the source, not from a run.

Imports inside functions and under TYPE_CHECKING count like all others: an import is a dependency whenever it happens.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from source_for_tests import ROOT, Module, imports, modules, part_of, planted

VOCABULARY = {"errors", "space", "records", "contracts", "front"}

# A new part of the engine takes a seat here: its name, and which parts of the engine it may import.
HOUSE: dict[str, set[str]] = {
    "errors": set(),
    "space": {"errors"},
    "storage": {"errors"},
    "records": {"space", "errors"},
    "front": {"records", "space", "errors"},
    "contracts": {"records", "space", "errors"},
    "plugins": {"contracts", "errors"},
    "config": {"errors", "plugins"},
    "evolution": VOCABULARY,
    "algorithms": VOCABULARY | {"plugins"},
    "evaluation": VOCABULARY,
    "cluster": VOCABULARY | {"evaluation"},
    "run": VOCABULARY | {"storage", "config", "plugins"},
    "loop": VOCABULARY | {"config", "plugins", "evolution", "evaluation", "cluster", "run", "storage"},
    "commands": VOCABULARY | {"config", "plugins", "evaluation", "run", "loop", "storage"},
    "doctor": VOCABULARY | {"evolution", "run", "storage"},
    "report": VOCABULARY | {"run", "storage"},
    "testing": VOCABULARY | {"evolution", "plugins"},
    "cli": VOCABULARY | {"__init__", "commands", "config", "doctor", "loop", "report", "run", "storage"},
    "__init__": {"errors", "run", "loop"},
    "__main__": {"errors", "storage", "cli"},
}

# Folders under problems/ that are no domain: every domain may import them, and they import what stands here.
NEUTRAL: dict[str, set[str]] = {
    "emoprune.problems.compute": set(),
    "emoprune.problems.storage": set(),
    "emoprune.problems.language": {"emoprune.problems.storage"},
}

# A file of a domain that may import more of the engine than its domain, with the reason.
FRONT_DOORS: dict[str, set[str]] = {
    "emoprune.problems.tables.evolved_features": {"loop"},  # a scikit-learn estimator's `fit` is a search
}

# Import name of a library -> the only parts that may touch it. What is not named here may be used anywhere.
LIBRARIES: dict[str, set[str]] = {
    "pymoo": {"algorithms"},
    "ray": {"cluster"},
    "moocore": {"front", "algorithms"},
    "filelock": {"problems", "run", "doctor"},
    "pandas": {"run", "report", "cli", "commands", "problems"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "rich": {"report", "cli"},
    "typer": {"cli", "__main__"},
    "click": {"cli", "__main__"},
    "pydantic": {"config", "plugins", "commands"},
    "yaml": {"config"},
    "pytest": {"testing"},
    "torch": {"problems"},
    "torchvision": {"problems"},
    "torch_pruning": {"problems"},
    "onnx": {"problems"},
    "onnxruntime": {"problems"},
    "PIL": {"problems"},
    "mlxtend": {"problems"},
    "transformers": {"problems"},
    "peft": {"problems"},
    "gguf": {"problems"},
    "huggingface_hub": {"problems"},
    "safetensors": {"problems"},
    "sklearn": {"problems"},
    "lightgbm": {"problems"},
    "polars": {"problems"},
}


def wrong_imports(tree: list[Module]) -> Iterator[str]:
    """Name every import that the house does not allow, with its place."""
    names = {module.name for module in tree}
    for module in tree:
        for line, target in imports(module, names):
            reason = refusal(module, target)
            if reason:
                yield f"{module.place}:{line}: imports {target}: {reason}"


def refusal(module: Module, target: str) -> str | None:
    """Say why `module` may not import `target`, or return None if it may."""
    library = target.split(".", maxsplit=1)[0]
    if target.startswith(".") or library in {"problems", "operators"}:
        return "imports are absolute and start with emoprune"
    if library == "emoprune":
        return None if may_import(module, target) else f"not among what {seat(module)} may import"
    homes = LIBRARIES.get(library)
    return f"{library} lives only in {', '.join(sorted(homes))}" if homes and module.part not in homes else None


def seat(module: Module) -> str:
    return ".".join(module.name.split(".")[:3]) if module.part == "problems" else module.part


def may_import(module: Module, target: str) -> bool:
    if module.part in {"problems", "operators"}:
        domain = ".".join(module.name.split(".")[: 3 if module.part == "problems" else 2])
        # A problem may be built of plug-ins itself, such as criteria.
        allowed = VOCABULARY | {"plugins"} if module.part == "problems" else VOCABULARY
        allowed = allowed | FRONT_DOORS.get(module.name, set())
        folders = {domain} | (neighbours(domain) if module.part == "problems" else set())
        return part_of(target) in allowed or any(f"{target}.".startswith(f"{folder}.") for folder in folders)
    return part_of(target) == module.part or part_of(target) in HOUSE.get(module.part, set())


def neighbours(domain: str) -> set[str]:
    """Return the neutral folders that a folder under problems/ may import."""
    return NEUTRAL.get(domain, set(NEUTRAL))


@pytest.fixture(scope="module")
def product() -> list[Module]:
    """The product's source, read once."""
    return modules(ROOT)


def test_every_file_of_the_engine_has_a_seat_in_the_house(product: list[Module]) -> None:
    parts = {module.part for module in product} - {"problems", "operators"}
    assert parts <= set(HOUSE), f"add a row to HOUSE, and a line to docs/architecture.md: {sorted(parts - set(HOUSE))}"


def test_every_seat_in_the_house_is_taken(product: list[Module]) -> None:
    parts = {module.part for module in product}
    assert set(HOUSE) <= parts, f"remove these rows from HOUSE: {sorted(set(HOUSE) - parts)}"


def test_the_house_has_no_circle() -> None:
    assert set(TopologicalSorter(HOUSE).static_order()) == set(HOUSE)


def test_every_import_of_the_product_is_allowed(product: list[Module]) -> None:
    broken = list(wrong_imports(product))
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("place", "source", "complaint"),
    [
        ("emoprune/space.py", "from emoprune.records import Candidate", "space may import"),
        ("emoprune/space.py", "from emoprune import records", "imports emoprune.records: not among"),
        ("emoprune/loop/search.py", "def late():\n    import emoprune.problems.networks", "loop may import"),
        ("emoprune/run/reader.py", "from emoprune.operators import mutation", "run may import"),
        ("emoprune/newcomer.py", "from emoprune.errors import ConfigError", "newcomer may import"),
        ("emoprune/evaluation/serial.py", "def late():\n    import ray.util", "ray lives only in cluster"),
        ("emoprune/front.py", "from pymoo.indicators import hv", "pymoo lives only in algorithms"),
        ("problems/networks/layers.py", "from emoprune.run import Run", "problems.networks may"),
        ("operators/mutation.py", "from emoprune import plugins", "operators may import"),
    ],
)
def test_a_planted_import_is_found_with_its_place(tmp_path: Path, place: str, source: str, complaint: str) -> None:
    found = list(wrong_imports(planted(tmp_path, place, source)))
    line = source.count("\n") + 1
    assert len(found) == 1
    assert found[0].startswith(f"{place}:{line}: ")
    assert complaint in found[0]


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = {"ray", "torch", "transformers", "pymoo", "pandas", "plotly", "sklearn", "scipy", "matplotlib"}
    statements = "import emoprune, emoprune.cli.app, emoprune.__main__"
    program = f"import sys; {statements}; print(*sorted({heavy!r} & set(sys.modules)))"
    started = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT.anchor
    )
    assert started.returncode == 0, started.stderr
    assert started.stdout.split() == []
