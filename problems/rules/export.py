"""Rules as a folder: to read, as data, and as a classifier that loads without emoprune."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Description
from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.rules.standalone.fold import Clause, FloatArray, IntArray, Trusted
from emoprune.problems.rules.wording import Wording
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.fitting import features_of, frame_of
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.subsets.export import write_features
from emoprune.problems.tables.table import Table

__all__ = ["export_rules"]

FORMAT = "emoprune.rules/1"
ALLOWED = 1e-12  # the same sums in the same order
TIME_LIMIT = 120.0  # seconds
PARTS = ("fold", "classifier")  # of the loader, in the order in which one needs the other
OWN_IMPORT = re.compile(r"^from emoprune\.[^(\n]*(\(.*?\n\))?\n?", re.MULTILINE | re.DOTALL)
FUTURE = "from __future__ import annotations\n"  # at the top of a file alone


def export_rules(folder: Path, table: Table, trusted: Trusted, block: Block, matrix: FloatArray) -> Description:
    """Write rules.txt, rules.json and rules.py, with what reads the columns, and verify them in a fresh process.

    Args:
        folder: Where to.
        table: Its columns are those that literals name by place.
        trusted: The rules.
        block: The rows that were learnt on, and those that are verified on.
        matrix: The values of all of the table's rows.

    Raises:
        ContractError: What was reloaded gives other probabilities.
        StorageError: The folder cannot be written.
    """
    wording = Wording(table.columns, table.classes)
    used = sorted({literal.column for clause in _clauses(trusted) for literal in clause.body})
    places = {column: place for place, column in enumerate(used)}
    plan = {
        "format": FORMAT,
        "made_with": {name: version(name) for name in ("emoprune", "numpy", "scikit-learn")},
        "columns": [table.names[column] for column in used],
        "classes": list(table.classes),
        "shares": trusted.shares.tolist(),
        "rules": [
            {"class": rule.label, "confidence": float(sure), **_plain(rule.clause, places, wording)}
            for rule, sure in zip(trusted.rules, trusted.confidences, strict=False)
        ],
        "otherwise": {"class": int(trusted.labels[-1]), "confidence": float(trusted.confidences[-1])},
    }
    with about_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if trusted.rules:
            terms = [table.terms[column] for column in used]
            write_features(folder, features_of(Computed(table), block, terms))
        (folder / "rules.json").write_text(json.dumps(plan, indent=1, ensure_ascii=False), encoding="utf-8")
        (folder / "rules.txt").write_text(wording.text(trusted), encoding="utf-8")
        (folder / "rules.py").write_text(_loader(), encoding="utf-8")
    _verify(folder, table, block.scored, trusted.probabilities(matrix[block.scored]))
    return {
        "files": "rules.txt, rules.json, rules.py",
        "verified": "same probabilities in a fresh process without emoprune",
    }


def _clauses(trusted: Trusted) -> list[Clause]:
    return [clause for rule in trusted.rules for clause in rule.clause.walk()]


def _plain(clause: Clause, places: dict[int, int], wording: Wording) -> dict[str, Any]:
    return {
        "if": [
            {
                "column": places[literal.column],
                "operator": literal.operator,
                "value": literal.value,
                "says": wording.literal(literal),
            }
            for literal in clause.body
        ],
        "unless": [_plain(each, places, wording) for each in clause.exceptions],
    }


def _loader() -> str:
    """Return the classifier as one file: the code of rules before the code that stands on it."""
    sources = [files("emoprune.problems.rules.standalone").joinpath(f"{part}.py").read_text("utf-8") for part in PARTS]
    first, rest = (OWN_IMPORT.sub("", source) for source in reversed(sources))
    place = first.index("HERE = ")
    return first[:place] + rest.replace(FUTURE, "") + "\n\n" + first[place:]


def _verify(folder: Path, table: Table, rows: IntArray, expected: FloatArray) -> None:
    frame = frame_of(table, rows)
    arrays: dict[str, NDArray[Any]] = {"expected": expected}
    for number, column in enumerate(frame.values()):
        if column.dtype.kind in "fM":
            arrays[f"column {number}"] = column
        else:  # an array of texts would take the length of the longest one for each of them
            written = json.dumps([None if value is None else str(value) for value in column])
            arrays[f"texts {number}"] = np.frombuffer(written.encode(), np.uint8)

    def write_inputs(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for an array

    request = {"folder": str(folder.resolve()), "columns": list(frame)}
    with as_file(files("emoprune.problems.rules.standalone") / "verify.py") as script:
        found = run_script(script, request, write_inputs, TIME_LIMIT)
    if found["difference"] > ALLOWED:
        raise ContractError(
            f"export: the reloaded rules give other probabilities, by {found['difference']:.3g}; do not use them, and "
            "report the table"
        )
    if found["emoprune"]:
        raise ContractError("export: the exported rules imported emoprune, expected them to need scikit-learn alone")
