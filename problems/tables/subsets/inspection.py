"""The pre-flight: what a table holds, how it is cut, and how many features can be made of it."""

from __future__ import annotations

import numpy as np

from emoprune.contracts import Cell, Inspection
from emoprune.problems.tables.formulas.catalogue import Catalogue
from emoprune.problems.tables.standalone.features import Values
from emoprune.problems.tables.table import TableColumn, Task
from emoprune.problems.tables.task import TableTask

__all__ = ["inspection_of"]

SHOWN = 200  # columns


def inspection_of(task: TableTask) -> Inspection:
    """Return what a person wants to know of a table before searching its columns."""
    table, parts = task.table, task.parts
    catalogue = Catalogue(table.kinds)
    summary: dict[str, str | int | float | bool] = {
        "table": task.options.data,
        "task": table.task.value,
        "rows": len(table),
        "columns": len(table.columns),
        "rows to search on": f"{len(parts.search)} in {len(parts.folds)} folds",
        "rows to select on": len(parts.select.scored),
        "rows to test on": len(parts.test.scored),
        "metric": task.measures.metric.name,
        "learner": task.plan.name,
        "formulas of order 1": catalogue.size,
    }
    if table.task is not Task.REGRESSION:
        counts = np.bincount(table.target.astype(np.int64), minlength=len(table.classes)).tolist()
        summary["classes"] = ", ".join(f"{label} ({count})" for label, count in zip(table.classes, counts, strict=True))
    rows = [_row(column, values) for column, values in zip(table.columns, table.values, strict=True)]
    operators: list[dict[str, Cell]] = [
        {"operator": operator, "formulas": count}
        for operator, count in zip(catalogue.operators, catalogue.counts, strict=True)
    ]
    notes = [*table.notes, *task.measures.metric.notes]
    if len(rows) > SHOWN:
        notes.append(f"The first {SHOWN} of {len(rows)} columns are shown.")
    return Inspection(summary, {"columns": rows[:SHOWN], "operators": operators}, notes)


def _row(column: TableColumn, values: Values) -> dict[str, Cell]:
    inputs = values.as_input()
    present = inputs[~np.isnan(inputs)]
    return {
        "column": column.name,
        "kind": column.kind.value,
        "missing": f"{1 - len(present) / len(inputs):.1%}",
        "different": len(np.unique(present)),
        "smallest": None if values.numbers is None else float(present.min()),
        "largest": None if values.numbers is None else float(present.max()),
    }
