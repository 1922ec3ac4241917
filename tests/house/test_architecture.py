"""Who may import whom, which library lives where, and how the folders stand: read from the source, not from a run.

Imports inside functions and under TYPE_CHECKING count like all others: an import is a dependency whenever it happens.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from source_for_tests import (
    ROOT,
    Module,
    arrows,
    chain,
    circle,
    entries,
    folders,
    graph,
    imports,
    modules,
    part_of,
    planted,
)

VOCABULARY = {"errors", "space", "records", "contracts", "front", "storage"}

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
    "run": VOCABULARY,
    "loop": VOCABULARY | {"config", "plugins", "evolution", "evaluation", "cluster", "run"},
    "commands": VOCABULARY | {"config", "plugins", "evaluation", "run", "loop"},
    "doctor": VOCABULARY | {"config", "evolution", "run"},
    "report": VOCABULARY | {"run"},
    "testing": VOCABULARY | {"evolution", "plugins"},
    "cli": VOCABULARY | {"__init__", "commands", "config", "doctor", "loop", "report", "run"},
    "__init__": {"errors", "run", "loop"},
    "__main__": {"errors", "storage", "cli"},
}

# Folders under problems/ that are no domain: every domain may import them, and they import what stands here.
NEUTRAL: dict[str, set[str]] = {
    "emoprune.problems.compute": set(),
    "emoprune.problems.pictures": set(),
    "emoprune.problems.scoring": set(),
    "emoprune.problems.storage": set(),
    "emoprune.problems.language": {"emoprune.problems.storage"},
}

# A domain that reads tables as the domain of tables does, cuts their rows as it does, and exports what reads columns.
TABLES = "emoprune.problems.tables"
READS_TABLES = {f"{TABLES}.{part}" for part in ("reading", "rows", "table", "computing", "fitting", "subsets.export")}
# What a domain may import of another one.
SHARED: dict[str, set[str]] = {
    "emoprune.problems.rules": READS_TABLES,
    "emoprune.problems.samples": READS_TABLES | {"emoprune.problems.networks.data"},
}

# A file of a domain that may import more of the engine than its domain, with the reason.
FRONT_DOORS: dict[str, set[str]] = {
    "emoprune.problems.tables.scikit_learn.evolved_features": {"loop"},  # a scikit-learn estimator's `fit` is a search
}

# How much lies side by side: what one sees in the folder, `__init__.py` and py.typed among it.
MOST_ENTRIES = {"emoprune": 22, "problems/networks": 18}
# The longest chain of imports from one entry of emoprune/ to the next, counted in entries.
MOST_FLOORS = 10

# The families in problems/networks stand on one foundation: a family may import the rest of the folder, the rest none.
FAMILIES = {"channels", "layers", "subnetworks", "transformers"}

# Import name of a library -> the only parts that may touch it. What is not named here may be used anywhere.
LIBRARIES: dict[str, set[str]] = {
    "pymoo": {"algorithms"},
    "ray": {"cluster"},
    "moocore": {"front", "algorithms"},
    "filelock": {"problems", "run", "doctor"},
    "pandas": {"run", "report", "cli", "commands", "problems"},
    "plotly": {"report"},
    "plotext": {"report"},
    "optuna": {"commands"},
    "jinja2": {"report"},
    "rich": {"report", "cli"},
    "typer": {"cli", "__main__"},
    "click": {"cli", "__main__"},
    "pydantic": {"config", "plugins", "commands"},
    "yaml": {"config"},
    "pytest": {"testing"},
    "torch": {"problems"},
    "torchvision": {"problems"},
    "onnx": {"problems"},
    "onnxruntime": {"problems"},
    "PIL": {"problems"},
    "mlxtend": {"problems"},
    "transformers": {"problems"},
    "peft": {"problems"},
    "gguf": {"problems"},
    "lm_eval": {"problems"},
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
    """Return the neutral folders, and parts of other domains, that a folder under problems/ may import."""
    return NEUTRAL.get(domain, set(NEUTRAL) | SHARED.get(domain, set()))


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


def test_in_no_folder_do_entries_import_each_other_in_a_circle(product: list[Module]) -> None:
    found = arrows(product)
    circles = {folder: circle(graph(found, folder)) for folder in folders(product)}
    assert not any(circles.values()), "\n".join(str(arrow) for around in circles.values() for arrow in around)


def test_the_engine_has_few_floors(product: list[Module]) -> None:
    floors = chain(graph(arrows(product), "emoprune"))
    assert len(floors) <= MOST_FLOORS, " -> ".join(floors)


@pytest.mark.parametrize("folder", MOST_ENTRIES)
def test_no_more_lies_side_by_side_than_one_can_keep_in_mind(folder: str) -> None:
    seen = entries(ROOT / folder)
    assert len(seen) <= MOST_ENTRIES[folder], f"find a folder for one of these: {', '.join(seen)}"


def test_the_foundation_of_the_networks_imports_no_family(product: list[Module]) -> None:
    edges = graph(arrows(product), "problems/networks")
    upwards = [edges[entry][other] for entry in edges.keys() - FAMILIES for other in edges[entry].keys() & FAMILIES]
    assert not upwards, "\n".join(map(str, upwards))


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


def test_a_planted_circle_between_folders_is_found_with_its_imports(tmp_path: Path) -> None:
    planted(tmp_path, "emoprune/run/reader.py", "def late():\n    from emoprune.loop import search")
    planted(tmp_path, "emoprune/loop/search.py", "from emoprune.records import Front")
    planted(tmp_path, "emoprune/loop/deep/__init__.py", "")
    tree = planted(tmp_path, "emoprune/loop/deep/inside.py", "import emoprune.run.reader")
    found = arrows(tree)
    assert folders(tree)[:4] == ["emoprune", "emoprune/loop", "emoprune/loop/deep", "emoprune/run"]
    assert sorted(map(str, circle(graph(found, "emoprune")))) == [
        "emoprune/loop/deep/inside.py:1 imports emoprune/run/reader.py",
        "emoprune/run/reader.py:2 imports emoprune/loop/search.py",
    ]
    assert circle(graph(found, "emoprune/loop")) == [], "its entries do not import each other"


def test_a_package_is_its_own_init_from_inside_and_one_entry_from_outside(tmp_path: Path) -> None:
    planted(tmp_path, "problems/networks/__init__.py", "from emoprune.problems.networks import task")
    tree = planted(tmp_path, "problems/networks/task.py", "import emoprune.problems.networks")
    assert [arrow.line for arrow in circle(graph(arrows(tree), "problems/networks"))] == [1, 1]
    assert graph(arrows(tree), "problems") == {}


def test_the_longest_chain_is_counted_in_entries(tmp_path: Path) -> None:
    planted(tmp_path, "emoprune/front.py", "from emoprune.contracts import Front\nimport emoprune.space")
    planted(tmp_path, "emoprune/contracts/objectives.py", "from emoprune.space import Space, keys")
    planted(tmp_path, "emoprune/contracts/__init__.py", "")
    tree = planted(tmp_path, "emoprune/space.py", "import numpy")
    assert chain(graph(arrows(tree), "emoprune")) == ["front", "contracts", "space"]
    assert chain(graph(arrows(tree), "problems")) == []


def test_what_is_hidden_empty_or_made_by_python_is_not_counted(tmp_path: Path) -> None:
    for made in ("__pycache__/a.pyc", ".cache/b", "gone/__pycache__/c.pyc", "kept/d.py", "py.typed", "e.py"):
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    assert entries(tmp_path) == ["e.py", "kept", "py.typed"]


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    heavy = {"ray", "torch", "transformers", "pymoo", "pandas", "plotly", "sklearn", "scipy", "matplotlib"}
    statements = "import emoprune, emoprune.cli.app, emoprune.__main__"
    program = f"import sys; {statements}; print(*sorted({heavy!r} & set(sys.modules)))"
    started = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT.anchor
    )
    assert started.returncode == 0, started.stderr
    assert started.stdout.split() == []
