"""Which tests reach which lines of the engine, and how long each takes: collected once, and again for what changed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.processes import progress
from shared.scratch_tree import ScratchTree

__all__ = ["Test", "TestMap", "collected"]

LIMIT = 7200.0  # seconds for all tests, traced


@dataclass(frozen=True, slots=True)
class Test:
    """A test that passes: its name for pytest, and its seconds with those of the fixtures it was the first to use."""

    name: str
    seconds: float

    @property
    def file(self) -> str:
        """The test's file, from the root."""
        return self.name.split("::", 1)[0]


class TestMap:
    """Tests by the lines they reach, themselves or in processes that they start."""

    def __init__(self, files: Mapping[str, Mapping[str, Any]]) -> None:
        facts = [fact for file in files.values() for fact in file["tests"]]
        self.failing = sorted(fact["test"] for fact in facts if not fact["passed"])
        self._facts = [fact for fact in facts if fact["passed"]]

    def __len__(self) -> int:
        return len(self._facts)

    def seconds(self) -> float:
        """Return the seconds of all tests that pass, traced."""
        return float(sum(fact["seconds"] for fact in self._facts))

    def reaching(self, path: str, line: int) -> tuple[list[Test], list[Test]]:
        """Return the tests that reach a line, and those that may see what it does: the others in their files.

        A line that runs at import alone is reached by whatever reaches its module.
        """
        bit = 1 << line
        direct = [fact for fact in self._facts if int(fact["lines"].get(path, "0"), 16) & bit]
        if not direct:
            direct = [fact for fact in self._facts if path in fact["lines"]]
        names = {fact["test"] for fact in direct}
        files = {name.split("::", 1)[0] for name in names}
        beside = [f for f in self._facts if f["test"].split("::", 1)[0] in files and f["test"] not in names]
        return [Test(f["test"], f["seconds"]) for f in direct], [Test(f["test"], f["seconds"]) for f in beside]


def collected(tree: ScratchTree, kept: Path, chosen: Sequence[str], jobs: int) -> TestMap:
    """Return the map of the tests below `chosen`; what `kept` holds of files that did not change is not run again.

    Raises:
        RuntimeError: pytest did not end in order.
    """
    engine = _digest(sorted((tree.root / "emoprune").rglob("*.py")))
    known = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    files: dict[str, dict[str, Any]] = {}
    stale = []
    for path in _test_files(tree.root, chosen):
        digest = f"{engine} {_digest([tree.root / path])}"
        files[path] = {"digest": digest, "tests": []}
        if known.get(path, {}).get("digest") == digest:
            files[path] = known[path]
        else:
            stale.append(path)
    if stale:
        progress(f"running the tests of {len(stale)} files, traced")
        for fact in _traced(tree, stale, jobs):
            files[fact["test"].split("::", 1)[0]]["tests"].append(fact)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({**known, **files}), "utf-8")
    return TestMap(files)


def _test_files(root: Path, chosen: Sequence[str]) -> list[str]:
    paths = [
        path
        for name in chosen
        for path in ([root / name] if name.endswith(".py") else (root / name).rglob("test_*.py"))
    ]
    return sorted(path.relative_to(root).as_posix() for path in paths)


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _traced(tree: ScratchTree, files: Sequence[str], jobs: int) -> Iterator[dict[str, Any]]:
    found = tree.root.parent / "found"
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    words = ["-m", "pytest", "-q", "-p", "reached_lines", "--hypothesis-seed=0", "--timeout=600", *files]
    words += ["--numprocesses", str(jobs), "--dist", "worksteal"] if jobs > 1 else []
    ended = tree.run(words, LIMIT, {"REACHED_LINES": str(found), "REACHED_SOURCE": str(tree.root / "emoprune")})
    if ended.code not in {0, 1}:
        raise RuntimeError(f"expected the tests to end, found exit code {ended.code}:\n{ended.printed[-3000:]}")
    progress(ended.printed[-1500:])
    children = _of_children(found)
    for path in found.glob("tests-*"):
        for text in path.read_text("utf-8").splitlines():
            fact = json.loads(text)
            lines = {name: set(numbers) for name, numbers in fact["lines"].items()}
            for name, numbers in children.get(fact["test"], {}).items():
                lines.setdefault(name, set()).update(numbers)
            masks = {name: f"{sum(1 << number for number in numbers):x}" for name, numbers in lines.items()}
            yield {**fact, "seconds": round(fact["seconds"], 4), "lines": masks}


def _of_children(found: Path) -> dict[str, dict[str, set[int]]]:
    """Return the lines that processes reached, by the test that started them.

    A process that was killed, or kept from writing, may have left its last line unfinished.
    """
    children: dict[str, dict[str, set[int]]] = {}
    for path in found.glob("child-*"):
        test, *lines = path.read_text("utf-8").splitlines() or [""]
        reached = children.setdefault(test, {})
        for name, number in re.findall(r"^(.+\.py):(\d+)$", "\n".join(lines), re.MULTILINE):
            reached.setdefault(name, set()).add(int(number))
    return children
