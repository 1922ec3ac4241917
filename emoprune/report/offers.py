"""What a problem offers besides, on the terminal: its inspection, the audit of its front, a recovered candidate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emoprune.contracts import Cell, Direction, Objective
from emoprune.report.wording import MISSING, change, labelled, number, numbers, plain

__all__ = ["audit_text", "cells", "columns_of", "inspection_text", "interval", "recovery_text"]

LONGEST = 2_000  # characters of one paragraph or cell
Rows = Sequence[Mapping[str, Cell]]


def inspection_text(found: Mapping[str, Any]) -> RenderableType:
    """Return an inspection: its summary as lines, its tables, its notes as paragraphs."""
    return Group(_summary(found["summary"]), *_tables(found["tables"]), *_paragraphs(found["notes"]))


def audit_text(found: Mapping[str, Any]) -> RenderableType:
    """Return an audit: each finding with its interval, alarms first to be seen, then the tables behind them."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in found["findings"]:
        mark = Text("ALARM", style="bold red") if finding["alarm"] else Text("ok", style="green")
        grid.add_row(mark, Text(plain(finding["sentence"], LONGEST)))
        grid.add_row("", Text(f"{plain(finding['name'])} {interval(finding)}", style="dim"))
    audited = ", ".join(str(candidate) for candidate in found["candidates"])
    return Group(grid, Text(f"\nAudited candidates: {audited}"), *_tables(found["tables"]))


def recovery_text(found: Mapping[str, Any], objectives: Sequence[Objective]) -> RenderableType:
    """Return a candidate's values before and after its recovery, by split and objective, with the change."""
    table = Table(box=None, pad_edge=False, title=f"Candidate {found['candidate']}", title_justify="left")
    table.add_column("split")
    table.add_column("objective")
    for heading in ("before", "after", "change"):
        table.add_column(heading, justify="right")
    known = {objective.name: objective for objective in objectives}
    for split, after in found["after"].items():
        for name, value in after.items():
            old = found["before"].get(split, {}).get(name)
            written = numbers([math.nan if old is None else old, value])
            gain = None if not old else (value - old) / abs(old) * 100
            heading = labelled(name, known[name].unit) if name in known else name
            style = "green" if name in known and _better(known[name], old, value) else ""
            table.add_row(split, heading, *written, Text(change(gain), style=style))
    return Group(table, Text(), _summary(found["description"]))


def _better(objective: Objective, old: float | None, value: float) -> bool:
    if old is None:
        return False
    return value < old if objective.direction is Direction.MINIMISE else value > old


def interval(finding: Mapping[str, Any]) -> str:
    """Write a finding's value with its interval, as far as it has one."""
    bounds = [finding["low"], finding["high"]]
    if bounds == [None, None]:
        return number(finding["value"])
    value, *written = numbers([finding["value"], *(math.nan if bound is None else bound for bound in bounds)])
    return f"{value} [{written[0]}, {written[1]}]"


def columns_of(rows: Rows) -> list[str]:
    """Return the labels of all rows, each once, in the order in which they first come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def cells(rows: Rows, column: str) -> tuple[list[str], bool]:
    """Return one column of a table as texts, and whether it holds numbers alone."""
    values = [row.get(column) for row in rows]
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return numbers([math.nan if value is None else float(value) for value in values]), True
    return [_word(value) for value in values], False


def _word(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return MISSING if value is None else plain(value, LONGEST)


def _summary(members: Mapping[str, Cell]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in members.items():
        grid.add_row(Text(plain(name)), Text(_word(value)))
    return grid


def _tables(tables: Mapping[str, Rows]) -> Iterator[RenderableType]:
    for title, rows in tables.items():
        yield Text(f"\n{plain(title)}", style="bold")
        yield _table(rows) if rows else Text("none")


def _table(rows: Rows) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns = []
    for name in columns_of(rows):
        texts, numeric = cells(rows, name)
        table.add_column(Text(plain(name)), justify="right" if numeric else "left", overflow="fold")
        columns.append(texts)
    for row in zip(*columns, strict=True):
        table.add_row(*(Text(text) for text in row))
    return table


def _paragraphs(notes: Sequence[str]) -> Iterator[RenderableType]:
    for note in notes:
        yield Text(f"\n{plain(note, LONGEST)}")
