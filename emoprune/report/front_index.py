"""The exported front as one page to choose from and one table, beside the candidates' folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from emoprune.report.page import source_of, template
from emoprune.report.ranking import rank
from emoprune.report.readable import ReadableRun
from emoprune.report.wording import labelled, plain
from emoprune.storage import write_atomically

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_front_index"]


def write_front_index(run: ReadableRun, exported: Mapping[int, Path], folder: Path) -> Path:
    """Write `index.html` and `front.csv` into the folder that holds the exported candidates; return the page.

    Args:
        run: Whose front.
        exported: Each exported candidate's folder, by candidate.
        folder: The folder they lie in.

    Raises:
        StorageError: One of them cannot be written.
    """
    ranking = rank(run)
    entries = [entry for entry in ranking.entries if entry.id in exported]
    cells = ranking.cells(entries) if entries else {}
    rows = [
        {
            "id": entry.id,
            "folder": exported[entry.id].name,
            "cells": cells[entry.id],
            "notes": ", ".join(ranking.notes(entry)),
            "files": sorted(each.name for each in exported[entry.id].iterdir()),
        }
        for entry in entries
    ]
    page = template("front_index.html.j2").render(
        style=Markup(source_of("report.css")),  # noqa: S704  # part of the installation
        name=plain(run.name),
        split=ranking.split.value,
        headings=[labelled(each.name, each.unit) for each in ranking.objectives],
        rows=rows,
    )
    write_atomically(folder / "front.csv", _table(run.pareto, exported))
    write_atomically(folder / "index.html", page)
    return folder / "index.html"


def _table(frame: pd.DataFrame, exported: Mapping[int, Path]) -> str:
    """Return the rows of pareto.csv that were exported, with the folder of each."""
    from emoprune.run.frames import without_formulas

    own = frame[frame["candidate_id"].isin(list(exported))].copy()
    own.insert(1, "folder", [exported[int(number)].name for number in own["candidate_id"]])
    text: Any = without_formulas(own).to_csv(index=False, lineterminator="\n")
    return str(text)
