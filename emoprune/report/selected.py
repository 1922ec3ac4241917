"""A selected candidate on the terminal: its numbers, why it is the one, and what its neighbours would give and take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emoprune.contracts import Direction, Objective
from emoprune.report.ranking import with_errors
from emoprune.report.wording import labelled, numbers, plain

__all__ = ["selected_text"]


def selected_text(found: Mapping[str, Any], objectives: Sequence[Objective]) -> RenderableType:
    """Return a selection as plain data, of `emoprune select --json`, for a terminal."""
    name = f" ({plain(found['name'], 40)})" if found["name"] else ""
    title = Text(f"Candidate {found['candidate']}{name} of {plain(found['run'])}", style="bold")
    parts: list[RenderableType] = [title, Text(_sentence(found["why"])), Text(), _values(found, objectives)]
    if found["neighbours"]:
        parts += [Text("\nIts neighbours on the front, and what going there changes:"), _steps(found, objectives)]
    return Group(*parts)


def _sentence(why: str) -> str:
    text = plain(why, 1_000)
    return f"{text[:1].upper()}{text[1:]}."


def _values(found: Mapping[str, Any], objectives: Sequence[Objective]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    measured = any(value is not None for value in found["test"].values())
    for heading in (found["split"], *(["test"] if measured else [])):
        table.add_column(heading, justify="right")
    for each in objectives:
        error = found["errors"][each.name]
        own = with_errors([found["values"][each.name]], [math.nan if error is None else error])
        test = found["test"][each.name]
        table.add_row(
            labelled(each.name, each.unit), own[0], *(numbers([math.nan if test is None else test]) if measured else [])
        )
    return table


def _steps(found: Mapping[str, Any], objectives: Sequence[Objective]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("candidate", justify="right")
    for each in objectives:
        table.add_column(labelled(each.name, each.unit), justify="right")
    rows = [*{step["candidate"]: step for step in found["neighbours"]}.values()]  # one may be next in two objectives
    columns = [numbers([abs(step["changes"][each.name]) for step in rows]) for each in objectives]
    for place, step in enumerate(rows):
        cells = [
            _cell(step["changes"][each.name], column[place], each)
            for each, column in zip(objectives, columns, strict=True)
        ]
        table.add_row(str(step["candidate"]), *cells)
    return table


def _cell(difference: float, written: str, objective: Objective) -> Text:
    if difference == 0:
        return Text("same", style="dim")
    better = (difference < 0) == (objective.direction is Direction.MINIMISE)
    return Text(f"{'-' if difference < 0 else '+'}{written}", style="green" if better else "")
