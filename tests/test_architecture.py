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

VOCABULARY = {"errors", "space", "records", "contracts", "front", "proposals", "stages", "surveys"}

# A new file of the engine takes a seat here: its name, and which parts of the engine it may import.
HOUSE: dict[str, set[str]] = {
    "errors": set(),
    "space": {"errors"},
    "records": {"space", "errors"},
    "offers": {"records", "space", "errors"},
    "contracts": {"offers", "records", "space", "errors"},
    "proposals": {"contracts", "space", "errors"},
    "stages": {"contracts", "offers", "space", "errors"},
    "surveys": {"contracts", "space"},
    "front": {"records", "space", "errors"},
    # the search's parts, which know nothing of each other beyond what stands here
    "novelty": VOCABULARY,
    "variation": VOCABULARY | {"novelty"},
    "evolution": VOCABULARY | {"novelty", "variation"},
    "survival": VOCABULARY,
    "pymoo_made": VOCABULARY | {"survival"},
    "algorithm": VOCABULARY | {"pymoo_made", "survival"},
    "regression": {"space"},
    "surrogate": VOCABULARY | {"algorithm", "regression"},
    "measuring": VOCABULARY,
    "evaluate": VOCABULARY | {"measuring"},
    "cluster": VOCABULARY | {"evaluate", "measuring"},
    "archive": VOCABULARY,
    # the run's folder
    "storage": {"errors"},
    "heartbeat": VOCABULARY,
    "tables": VOCABULARY,
    "run": VOCABULARY | {"storage", "tables"},
    "recorder": VOCABULARY | {"storage", "tables", "run"},
    # words into objects
    "complaints": {"errors"},
    "yaml_source": {"errors", "complaints"},
    "plugins": {"errors", "complaints"},
    "config_source": {"errors", "complaints", "yaml_source", "plugins"},
    "config_plugins": {"errors", "complaints", "plugins"},
    "config": {"errors", "complaints", "plugins", "config_source", "config_plugins"},
    "assembly": VOCABULARY | {"config", "plugins", "variation", "evaluate", "evolution", "cluster", "run"},
    "trust": {"errors", "config", "plugins", "recorder", "run"},
    # a run's problem, once more after the search
    "placing": {"errors", "storage"},
    "asking": {"errors", "complaints", "config_source", "plugins"},
    "exported": VOCABULARY | {"storage"},
    "reopening": VOCABULARY | {"assembly", "config", "plugins", "run", "trust"},
    "inspecting": VOCABULARY | {"asking", "assembly", "config", "plugins"},
    "auditing": VOCABULARY | {"asking", "placing", "reopening", "run", "storage"},
    "recovering": VOCABULARY | {"asking", "placing", "reopening", "run", "storage"},
    # whether all is well
    "doctor": VOCABULARY | {"archive", "placing", "run", "storage"},
    # the search
    "opening": VOCABULARY | {"assembly", "config", "evolution", "recorder", "run"},
    "results": VOCABULARY | {"archive", "assembly", "exported", "placing", "recorder", "reopening", "run"},
    "session": VOCABULARY
    | {"archive", "assembly", "config", "evolution", "evaluate", "heartbeat", "measuring", "opening", "recorder"}
    | {"results"},
    "staging": VOCABULARY
    | {"assembly", "config", "evaluate", "heartbeat", "measuring", "recorder", "run", "session", "storage"},
    "searching": VOCABULARY
    | {"assembly", "config", "evaluate", "heartbeat", "measuring", "opening", "plugins", "recorder", "run", "session"}
    | {"staging", "trust"},
    "planning": VOCABULARY | {"assembly", "config", "evaluate", "measuring", "opening", "plugins"},
    # what a person meets
    "testing": VOCABULARY | {"evolution", "plugins", "variation"},
    "report": VOCABULARY | {"run", "storage", "tables"},
    "catalogue": VOCABULARY | {"complaints", "config", "plugins", "run"},
    "showing": VOCABULARY | {"doctor", "report", "run", "tables"},
    "notes": {"showing"},
    "following": VOCABULARY | {"notes", "report", "run", "searching", "showing"},
    "arguments": set(),
    "cli": VOCABULARY
    | {"__init__", "catalogue", "config", "following", "planning", "report", "results", "run", "searching", "showing"}
    | {"arguments", "auditing", "doctor", "inspecting", "notes", "recorder", "recovering", "storage"},
    "__init__": {"errors", "run", "searching"},
    "__main__": {"errors", "cli", "showing"},
}

# Folders under problems/ that are no domain: every domain may import them, and they import what stands here.
NEUTRAL: dict[str, set[str]] = {
    "emoprune.problems.places": set(),
    "emoprune.problems.language": {"emoprune.problems.places"},
}

# A file of a domain that may import more of the engine than its domain, with the reason.
FRONT_DOORS: dict[str, set[str]] = {
    "emoprune.problems.tables.evolved_features": {"searching"},  # a scikit-learn estimator's `fit` is a search
}

# Import name of a library -> the only parts that may touch it. What is not named here may be used anywhere.
LIBRARIES: dict[str, set[str]] = {
    "pymoo": {"algorithm", "pymoo_made", "survival"},
    "ray": {"cluster"},
    "moocore": {"front", "algorithm"},
    "filelock": {"problems", "recorder", "placing", "doctor"},
    "pandas": {"tables", "run", "recorder", "report", "showing", "auditing", "problems"},
    "plotly": {"report"},
    "jinja2": {"report"},
    "rich": {"report", "cli", "showing", "following", "notes"},
    "typer": {"cli", "arguments", "__main__"},
    "click": {"cli", "__main__"},
    "pydantic": {"config", "config_plugins", "plugins", "complaints", "catalogue", "asking"},
    "yaml": {"config", "yaml_source"},
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


def test_every_file_of_the_engine_has_a_seat_in_the_house() -> None:
    parts = {module.part for module in modules(ROOT)} - {"problems", "operators"}
    assert parts <= set(HOUSE), f"add a row to HOUSE, and a line to docs/architecture.md: {sorted(parts - set(HOUSE))}"


def test_every_seat_in_the_house_is_taken() -> None:
    parts = {module.part for module in modules(ROOT)}
    assert set(HOUSE) <= parts, f"remove these rows from HOUSE: {sorted(set(HOUSE) - parts)}"


def test_the_house_has_no_circle() -> None:
    assert set(TopologicalSorter(HOUSE).static_order()) == set(HOUSE)


def test_every_import_of_the_product_is_allowed() -> None:
    broken = list(wrong_imports(modules(ROOT)))
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("place", "source", "complaint"),
    [
        ("emoprune/space.py", "from emoprune.records import Candidate", "space may import"),
        ("emoprune/space.py", "from emoprune import records", "imports emoprune.records: not among"),
        ("emoprune/searching.py", "def late():\n    import emoprune.problems.networks", "searching may import"),
        ("emoprune/run.py", "from emoprune.operators import mutation", "run may import"),
        ("emoprune/newcomer.py", "from emoprune.errors import ConfigError", "newcomer may import"),
        ("emoprune/evaluate.py", "def late():\n    import ray.util", "ray lives only in cluster"),
        ("emoprune/front.py", "from pymoo.indicators import hv", "pymoo lives only in algorithm, pymoo_made, survival"),
        ("emoprune/report/page.py", "import torch", "torch lives only in problems"),
        (
            "problems/networks/layers.py",
            "from emoprune.problems.prompts import tokens",
            "emoprune.problems.networks may",
        ),
        ("problems/networks/layers.py", "from emoprune.run import Run", "problems.networks may"),
        ("problems/tables/features.py", "from emoprune.searching import search", "problems.tables may"),
        ("problems/tables/evolved_features.py", "from emoprune.run import Run", "problems.tables may"),
        ("problems/networks/layers.py", "from . import widths", "imports are absolute"),
        ("problems/networks/layers.py", "from problems import networks", "imports are absolute"),
        ("problems/language/texts.py", "from emoprune.problems.networks import widths", "problems.language may"),
        ("problems/places/cache.py", "from emoprune.problems.language import texts", "problems.places may"),
        ("operators/mutation.py", "from emoprune.problems.networks import widths", "operators may import"),
        ("operators/mutation.py", "from emoprune.problems.places import cache", "operators may import"),
        ("operators/mutation.py", "import emoprune", "operators may import"),
        ("operators/mutation.py", "from emoprune import plugins", "operators may import"),
    ],
)
def test_a_planted_import_is_found_with_its_place(tmp_path: Path, place: str, source: str, complaint: str) -> None:
    found = list(wrong_imports(planted(tmp_path, place, source)))
    line = source.count("\n") + 1
    assert len(found) == 1
    assert found[0].startswith(f"{place}:{line}: ")
    assert complaint in found[0]


@pytest.mark.parametrize("statement", ["import emoprune", "import emoprune.cli", "import emoprune.__main__"])
def test_the_command_line_starts_without_the_heavy_libraries(statement: str) -> None:
    heavy = {"ray", "torch", "transformers", "pymoo", "pandas", "plotly", "sklearn", "scipy", "matplotlib"}
    program = f"import sys; {statement}; print(*sorted({heavy!r} & set(sys.modules)))"
    started = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT.anchor
    )
    assert started.returncode == 0, started.stderr
    assert started.stdout.split() == []
