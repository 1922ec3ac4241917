"""Every benchmark runs, in a small size, and prints the tables it promises; figures are not judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
LIMIT = 200.0  # seconds; the slowest one starts Ray twice

# Each script with what the first columns of one of its rows must be.
SCRIPTS = {
    "criteria": ["taylor"],
    "engine": ["20", "emoprune"],
    "engine_quality": ["same fair bits", "emoprune"],
    "evopress": ["evopress"],
    "inference": ["kv-cache", "emoprune, replayed"],
    "memory": ["emoprune, whole search", "80"],
    "mutants": ["2"],
    "narrowed_transformers": ["emoprune, sharing"],
    "networks": ["masked, full size"],
    "new_domains": ["rules", "inverse-brier", "paper"],
    "overhead": ["emoprune, population 16", "disk"],
    "planted": ["oracle"],
    "prompt_quality": ["PromptQuine"],
    "prompts": ["1-shot", "emoprune"],
    "ray_driver": ["emoprune", "16"],
    "search_quality": ["emoprune"],
    "startup": ["emoprune --help"],
    "subnetworks": ["parts: 1"],
    "table_memory": ["4,000 x 20", "2,000"],
    "table_quality": ["emoprune"],
    "table_texts": ["titles"],
    "tables": ["wine", "emoprune, best"],
    "trained_masks": ["pdp, finetune"],
    "transformer_quality": ["emoprune"],
    "weight_solvers": ["magnitude"],
    "zoo": ["BERT", "bert"],
    "zoo_networks": ["20"],
}


def test_every_benchmark_is_run_by_these_tests_and_named_in_the_readme() -> None:
    scripts = {path.stem for path in BENCHMARKS.glob("*.py")}
    assert scripts == set(SCRIPTS)
    assert set(re.findall(r"^\| `(\w+)\.py`", (BENCHMARKS / "README.md").read_text("utf-8"), re.MULTILINE)) == scripts


SLOW = {
    "criteria",
    "evopress",
    "inference",
    "mutants",
    "narrowed_transformers",
    "networks",
    "new_domains",
    "planted",
    "prompt_quality",
    "prompts",
    "ray_driver",
    "search_quality",
    "subnetworks",
    "table_memory",
    "table_quality",
    "table_texts",
    "tables",
    "trained_masks",
    "transformer_quality",
    "weight_solvers",
    "zoo",
    "zoo_networks",
}  # networks, tables and prompts take minutes; two Rays; mutants runs tests itself


@pytest.mark.timeout(LIMIT + 20)
@pytest.mark.parametrize(
    "script", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in SCRIPTS]
)
def test_a_quick_benchmark_prints_its_tables_records_nothing_and_leaves_nothing_behind(script: str) -> None:
    row = SCRIPTS[script]
    before, beside = recorded(), set(ROOT.iterdir())
    done = subprocess.run(
        [sys.executable, f"benchmarks/{script}.py", "--quick", "--no-record"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"`python benchmarks/{script}.py --quick --no-record`" in done.stdout
    found = rows(done.stdout)
    assert row in [cells[: len(row)] for cells in found], done.stdout
    figures = [cells[-1] for cells in found if cells[: len(row)] == row]
    assert all(re.search(r"\d", figure) for figure in figures), figures
    assert recorded() == before
    assert set(ROOT.iterdir()) == beside


def recorded() -> str:
    """Return what RESULTS.md holds."""
    results = BENCHMARKS / "RESULTS.md"
    return results.read_text(encoding="utf-8") if results.exists() else ""


def rows(printed: str) -> list[list[str]]:
    """Return the cells of all Markdown tables in the text."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line[:1] == "|"]


def test_a_benchmark_that_is_asked_for_nonsense_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/engine.py", "--quikc"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --quikc" in done.stderr
