"""The product's source as its tests read it: every module under its import name, what it imports, the graph of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

__all__ = [
    "ROOT",
    "Arrow",
    "Module",
    "arrows",
    "chain",
    "circle",
    "entries",
    "folders",
    "graph",
    "imports",
    "modules",
    "part_of",
    "planted",
]

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


@dataclass(frozen=True)
class Arrow:
    """An import of one file of the product by another: their places, and the line where it stands."""

    place: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line} imports {self.target}"


def arrows(tree: list[Module]) -> list[Arrow]:
    """Return every import inside the product, wherever it stands; of a package, its `__init__` is what is imported."""
    places = {module.name: module.place for module in tree}
    found = []
    for module in tree:
        for line, name in imports(module, set(places)):
            known = next((each for each in _outwards(name) if each in places), None)
            if known is not None:
                found.append(Arrow(module.place, line, places[known]))
    return found


def _outwards(name: str) -> Iterator[str]:
    """Yield `a.b.c`, `a.b`, `a`."""
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(len(parts), 0, -1))


def folders(tree: list[Module]) -> list[str]:
    """Return every folder of the product that holds source, at every depth."""
    parents = (parent.as_posix() for module in tree for parent in Path(module.place).parents)
    return sorted(set(parents) - {"."})


def graph(found: list[Arrow], folder: str) -> dict[str, dict[str, Arrow]]:
    """Map each entry of a folder to the entries that it imports, each with one such import.

    An entry is a file that lies in the folder, by its name, or a folder in it with all that it holds, its own
    `__init__` among that. The `__init__` of `folder` itself is an entry like any other file.
    """
    edges: dict[str, dict[str, Arrow]] = {}
    for arrow in found:
        ends = _entry(arrow.place, folder), _entry(arrow.target, folder)
        if None not in ends and ends[0] != ends[1]:
            edges.setdefault(str(ends[0]), {})[str(ends[1])] = arrow
    return edges


def _entry(place: str, folder: str) -> str | None:
    """Return the entry of `folder` that `place` is in; None if it lies elsewhere."""
    inside = place.removeprefix(f"{folder}/")
    return None if inside == place else inside.split("/", maxsplit=1)[0].removesuffix(".py")


def circle(edges: dict[str, dict[str, Arrow]]) -> list[Arrow]:
    """Return imports that lead from an entry back to itself; none if there is no circle."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        around = error.args[1][::-1]  # as it comes, each is imported by the next
        return [edges[one][other] for one, other in pairwise(around)]
    return []


def chain(edges: dict[str, dict[str, Arrow]]) -> list[str]:
    """Return the entries of the longest chain of imports, each imported by the one before it.

    Raises:
        CycleError: There is a circle, so that a chain may be longer than any.
    """
    longest: dict[str, list[str]] = {}
    for entry in TopologicalSorter(edges).static_order():  # what is imported comes before who imports it
        longest[entry] = [entry, *max((longest[other] for other in edges.get(entry, ())), key=len, default=[])]
    return max(longest.values(), key=len, default=[])


def entries(folder: Path) -> list[str]:
    """Return what one sees in a folder: files and folders, without what is hidden, empty, or made by Python itself."""
    seen = (each for each in folder.iterdir() if not each.name.startswith(".") and each.name != "__pycache__")
    return sorted(each.name for each in seen if each.is_file() or any(_files(each)))


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts)


def planted(root: Path, place: str, source: str) -> list[Module]:
    """Write one file into an otherwise innocent tree and read it all."""
    for innocent in ("emoprune/records.py", "problems/prompts/tokens.py", "problems/networks/channels/widths.py"):
        (root / innocent).parent.mkdir(parents=True, exist_ok=True)
        (root / innocent).write_text("", encoding="utf-8")
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(source, encoding="utf-8")
    return modules(root)
