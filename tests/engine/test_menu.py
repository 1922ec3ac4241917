"""The menu of methods in a terminal: a line each, whatever its width, and nothing that could steer it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from runs_for_tests import HOSTILE

from emoprune.report.menu import Line, Menu

LONG = "Genomes that keep the same share of each coupling group, as near as its widths allow."
SECTIONS: dict[str, list[Line]] = {
    "references for channels": [
        ("uniform", LONG, (), ()),
        ("eagle-eye", LONG, ("gradients",), ("2007.02491", "2302.05601", "2303.16212")),
        ("fast", "Short.", ("gradients", "training"), ("NVIDIA Model Optimizer, as its code does it",)),
    ],
    "algorithms": [("nsga2", HOSTILE, (), (HOSTILE,))],
}


def shown(width: int, *, fit: bool) -> list[str]:
    console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
    console.print(Menu(SECTIONS, fit=fit))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_each_method_is_one_line_that_fits(width: int) -> None:
    lines = shown(width, fit=True)
    assert [line.split()[0] for line in lines if line] == [
        *("references", "uniform", "eagle-eye", "fast"),
        *("algorithms", "nsga2"),
        "The",
    ]
    assert all(len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


def test_what_it_needs_and_its_first_paper_stand_at_the_right_and_the_sentence_takes_the_rest() -> None:
    uniform, eagle_eye, fast = shown(80, fit=True)[1:4]
    assert uniform == f"  uniform    {LONG[:66]}\u2026"
    assert eagle_eye == f"  eagle-eye  {LONG[:40]}\u2026  gradients  2007.02491 +2"
    assert fast.startswith("  fast       Short. ")
    assert fast.endswith("  gradients  training  NVIDIA Model Optimizer,\u2026")
    assert {len(uniform), len(eagle_eye), len(fast)} == {80}


def test_in_a_pipe_all_is_whole() -> None:
    uniform, eagle_eye, fast = shown(10_000, fit=False)[1:4]
    assert uniform == f"  uniform    {LONG}"
    assert eagle_eye.split("  ")[-4:] == ["gradients", "2007.02491", "2302.05601", "2303.16212"]
    assert fast.endswith("NVIDIA Model Optimizer, as its code does it")
