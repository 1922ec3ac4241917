"""The product's source as its tests read it: every module under its import name, and what it imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Module", "imports", "modules", "part_of", "planted"]

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"emoprune": "emoprune", "problems": "emoprune.problems", "operators": "emoprune.operators"}


@dataclass(frozen=True)
class Module:
    """One source file of the product: where it lies, its import name, and its syntax tree."""

    place: str
    name: str
    tree: ast.Module

    @property
    def part(self) -> str:
        """Its seat in the house: a file or folder of the engine, `problems`, `operators`, or `__init__`."""
        return part_of(self.name)


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def modules(root: Path) -> list[Module]:
    """Read the three folders under their import names."""
    found = []
    for folder, package in (
        ("emoprune", "emoprune"),
        ("problems", "emoprune.problems"),
        ("operators", "emoprune.operators"),
    ):
        for path in sorted((root / folder).rglob("*.py")):
            inner = path.relative_to(root / folder).with_suffix("").parts
            name = ".".join([package, *(part for part in inner if part != "__init__")])
            found.append(Module(path.relative_to(root).as_posix(), name, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imports(module: Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute name of every module that `module` imports, wherever the import stands."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            deeper = [f"{origin}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in sorted({name if name in names else origin for name in deeper}))


def planted(root: Path, place: str, source: str) -> list[Module]:
    """Write one file into an otherwise innocent tree and read it all."""
    for innocent in ("emoprune/records.py", "problems/prompts/tokens.py", "problems/networks/channels/widths.py"):
        (root / innocent).parent.mkdir(parents=True, exist_ok=True)
        (root / innocent).write_text("", encoding="utf-8")
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(source, encoding="utf-8")
    return modules(root)
