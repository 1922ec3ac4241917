"""Configs to load, and the complaints that loading a wrong one gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emoprune.config import load
from emoprune.errors import ConfigError

__all__ = ["GOOD", "KNAPSACK", "complaints", "only_complaint", "search_with", "written"]

KNAPSACK = "problems_for_tests:Knapsack12"
GOOD = f"""\
name: rucksack
problem: {{name: '{KNAPSACK}', bits: 12}}
search:
  population: 20
  crossover: one-point
evaluation:
  backend: serial
"""


def written(folder: Path, text: str | bytes, name: str = "knapsack.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaints(source: Any, overrides: Sequence[str] = ()) -> list[str]:
    """Return the lines of the one error that loading `source` gives."""
    with pytest.raises(ConfigError, match=r".") as caught:
        load(source, overrides)
    return str(caught.value).split("\n")


def only_complaint(folder: Path, text: str | bytes, overrides: Sequence[str] = ()) -> str:
    first, *rest = complaints(written(folder, text), overrides)
    assert first == f"1 error in {folder / 'knapsack.yaml'}"
    assert len(rest) == 1
    return rest[0].removeprefix(f"{folder}/")


def search_with(line: str) -> str:
    return f"problem: {{name: '{KNAPSACK}'}}\nsearch:\n  {line}\n"
