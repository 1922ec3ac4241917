"""Tables on the screen, and the same tables in RESULTS.md with the date, the versions and the command."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Report", "Table", "arguments", "publish", "state"]

FOLDER = Path(__file__).resolve().parents[1]
RESULTS = FOLDER / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under column names, with a line above that says what is shown."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: expected {len(self.columns)} cells, found {row}; fill the row")

    def as_markdown(self) -> str:
        """Return the table with its cells padded, readable as it is."""
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [_line(self.columns, widths), _line(["-" * width for width in widths], widths)]
        lines += [_line(row, widths) for row in self.rows]
        return "\n".join([self.caption, "", *lines])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found: its tables, Markdown notes on how they came about, and the packages compared."""

    title: str
    tables: Sequence[Table]
    notes: str
    packages: Sequence[str]

    def as_markdown(self) -> str:
        """Return the whole report, as it stands in RESULTS.md."""
        now = datetime.now(UTC)
        facts = [f"{now:%Y-%m-%d %H:%M} UTC", f"Python {platform.python_version()}"]
        facts += [f"{name} {importlib.metadata.version(name)}" for name in self.packages]
        facts += state()
        facts += [f"{len(os.sched_getaffinity(0))} cores", f"load {os.getloadavg()[0]:.1f} at the end"]
        parts = [f"## {self.title}, {now:%Y-%m-%d}", f"`{_command()}`", ", ".join(facts) + "."]
        parts += [table.as_markdown() for table in self.tables]
        return "\n\n".join([*parts, self.notes])


def state() -> list[str]:
    """Return the commit that was measured, and whether the product differs from it; nothing outside of a checkout."""
    git = shutil.which("git")
    if git is None or not (FOLDER.parent / ".git").exists():
        return []
    at = _said(git, "rev-parse", "--short", "HEAD")
    changed = _said(git, "status", "--porcelain", "--", "emoprune", "operators", "problems")
    return [f"commit {at}{' with changes' if changed else ''}"]


def _said(*words: str) -> str:
    done = subprocess.run(words, cwd=FOLDER.parent, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def _command() -> str:
    script = Path(sys.argv[0]).resolve().relative_to(FOLDER.parent).as_posix()
    return shlex.join(["python", script, *sys.argv[1:]])


def arguments(description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="sizes at which only the table means anything")
    parser.add_argument("--no-record", action="store_true", help="leave RESULTS.md alone")
    parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=f"measurements per figure ({rounds})")
    return parser


def publish(report: Report, chosen: argparse.Namespace) -> None:
    """Print the report, and append it to RESULTS.md unless it was quick or asked not to."""
    text = report.as_markdown()
    print(text)
    if not (chosen.no_record or chosen.quick):
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"\n{text}")
