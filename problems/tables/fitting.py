"""Features with everything they learnt, as the record that is written and that computes them for new rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.tables.computing import Computed, learns
from emoprune.problems.tables.formulas.formula import Column, Term, plain_of, sources, unique_names
from emoprune.problems.tables.formulas.learning import learnt_by
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.columns import plain
from emoprune.problems.tables.standalone.features import (
    FORMAT,
    OPERATORS,
    Features,
    Values,
)
from emoprune.problems.tables.standalone.readings import moments_of
from emoprune.problems.tables.standalone.texts import is_theme
from emoprune.problems.tables.table import Table

__all__ = ["features_of", "frame_of", "learnt_anew", "row_frame"]

IntArray = NDArray[np.int64]


def features_of(computed: Computed, block: Block, terms: Sequence[Term]) -> Features:
    """Return features as they are computed for new rows, with what they learnt on the block's training rows."""
    columns = {column.name: column for column in computed.table.columns}
    nodes: list[dict[str, Any]] = []
    learnt: dict[str, NDArray[Any]] = {}
    places: dict[Term, int] = {}

    def place(term: Term) -> int:
        if term in places:
            return places[term]
        if isinstance(term, Column):
            nodes.append({"column": columns[term.name].as_plain()})
        else:
            inputs = [place(each) for each in term.inputs]
            nodes.append({"operator": term.operator, "inputs": inputs})
            if learns(term):
                taken = [computed.values(each, block).taken(block.train) for each in term.inputs]
                found = learnt_by(term.operator, taken)
                learnt.update({f"{len(nodes) - 1}.{name}": array for name, array in found.items()})
        places[term] = len(nodes) - 1
        return places[term]

    features = [
        {"name": name, "formula": plain_of(term), "node": place(term)}
        for name, term in zip(unique_names(terms), terms, strict=True)
    ]
    used = [columns[name] for term in terms for name in sources(term)]
    plan = {"format": FORMAT, "needs": sorted({column.source for column in used}), "features": features, "nodes": nodes}
    texts = sorted({column.of for column in used if is_theme(column.part)})
    for number, name in enumerate(texts):
        themes = computed.table.texts[name].themes
        learnt |= {} if themes is None else {f"text {number}.{key}": array for key, array in themes.learnt.items()}
    return Features(plan | ({"texts": texts} if texts else {}), learnt)


def learnt_anew(features: Features, frame: Any) -> Features:
    """Return the same features with what they learn on a frame's rows; what categories and themes of texts are stays.

    Raises:
        KeyError: A column is missing.
        ValueError: A numerical column holds texts or infinite values.
    """
    computed: list[Values] = []
    learnt = {name: array for name, array in features.learnt.items() if name.startswith("text ")}  # as categories do
    rows = features.rows(frame)
    for number, node in enumerate(features.plan["nodes"]):  # inputs come before what is made of them
        if "column" in node:
            computed.append(rows.values(node["column"]))
            continue
        inputs = [computed[place] for place in node["inputs"]]
        found = learnt_by(node["operator"], inputs)
        learnt.update({f"{number}.{name}": array for name, array in found.items()})
        computed.append(OPERATORS[node["operator"]](inputs, found))
    return Features(features.plan, learnt)


def frame_of(table: Table, rows: IntArray) -> dict[str, NDArray[Any]]:
    """Return some rows of a table's columns as a user's frame would hold them: floats, dates, or texts and None."""
    found: dict[str, NDArray[Any]] = {}
    for column, values in zip(table.columns, table.values, strict=True):
        if column.of in table.texts:
            found.setdefault(column.of, table.texts[column.of].texts[rows])
            continue
        if column.part not in ("", "days"):
            continue
        if values.numbers is not None:
            found[column.source] = moments_of(values.numbers[rows]) if column.part else values.numbers[rows]
        elif values.codes is not None:
            known = np.array([*column.categories, None, None], dtype=object)
            found[column.name] = plain(known[values.codes[rows]])
    return found


def row_frame(table: Table, row: int) -> dict[str, NDArray[Any]]:
    """Return one row of a table's columns as a user's frame would hold it."""
    return frame_of(table, np.array([row]))
