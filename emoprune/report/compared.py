"""Runs beside each other on the terminal and as a table for papers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emoprune.report.wording import duration, labelled, numbers, plain, significant

__all__ = ["compared_text", "csv_of", "value_text"]

Found = Mapping[str, Any]


def compared_text(found: Found) -> RenderableType:
    """Return a comparison as plain data, of `emoprune compare --json`, for a terminal."""
    parts: list[RenderableType] = [_runs(found), Text(), _best(found)]
    point = ", ".join(f"{plain(name)} {significant(value)}" for name, value in found["reference_point"].items())
    parts.append(
        Text(f"\nMeasured on {found['split']}; hypervolumes up to {point}, the worst of the runs' own points.")
    )
    if found["differing"]:
        parts += [Text("\nWhat differs between the configs:", style="bold"), _differing(found)]
    parts += [Text(f"\n{plain(note, 1_000)}") for note in found["notes"]]
    return Group(*parts)


def _runs(found: Found) -> Table:
    runs = found["runs"]
    table = _table(["seed", "evaluations", "time", "front", "hypervolume", "of the best"])
    best = max(run["hypervolume"] for run in runs)
    volumes = numbers([run["hypervolume"] for run in runs])
    for row, run in enumerate(runs):
        table.add_row(
            plain(run["name"], 40),
            str(run["seed"]),
            f"{run['evaluations']:,}",
            duration(run["seconds"][-1]) if run["seconds"] else "-",
            str(len(run["front"])),
            volumes[row],
            f"{run['hypervolume'] / best:.1%}" if best > 0 else "-",
        )
    return table


def _best(found: Found) -> Table:
    """Return each objective's best; a table of its own, because beside the others no number had room at 80 columns."""
    runs, objectives = found["runs"], found["objectives"]
    table = _table([f"best {labelled(each['name'], each['unit'])}" for each in objectives])
    columns = [
        numbers([run["best"][place] if run["best"] else math.nan for run in runs]) for place, _ in enumerate(objectives)
    ]
    for row, run in enumerate(runs):
        table.add_row(plain(run["name"], 40), *(column[row] for column in columns))
    return table


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("run", overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _differing(found: Found) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("key", overflow="fold")
    for run in found["runs"]:
        table.add_column(plain(run["name"], 24), overflow="fold")
    for key, values in found["differing"].items():
        table.add_row(plain(key), *(value_text(value) for value in values))
    return table


def value_text(value: Any) -> str:
    """Write a config's value as YAML would have it on one line; a dash where a config has no such key."""
    if value is None:
        return "-"
    return plain(value if isinstance(value, str) else json.dumps(value), 200)


def csv_of(found: Found) -> str:
    """Return a table for papers: a row for each run, with what differs between their configs."""
    names = [each["name"] for each in found["objectives"]]
    heads = ["run", "group", "seed", "evaluations", "seconds", "front", "split", "hypervolume"]
    rows: list[Sequence[Any]] = [[*heads, *(f"best.{name}" for name in names), *found["differing"]]]
    for place, run in enumerate(found["runs"]):
        seconds = run["seconds"][-1] if run["seconds"] else ""
        own = [run["name"], run["group"], run["seed"], run["evaluations"], seconds, len(run["front"]), found["split"]]
        values = [value_text(each[place]) for each in found["differing"].values()]
        rows.append([*own, run["hypervolume"], *(run["best"] or [""] * len(names)), *values])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_inert(cell) for cell in row] for row in rows])
    return text.getvalue()


def _inert(cell: Any) -> Any:
    """Put a text that a spreadsheet would run behind an apostrophe (CWE-1236)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@")) and len(cell) > 1 else cell
