"""Exporting chosen features: formulas to read, what they learnt, a loader that needs numpy alone, and the model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Description
from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.tables.fitting import features_of, frame_of
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.standalone.features import Features
from emoprune.problems.tables.subsets.card import feature_card
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["export_subset", "write_features"]

ALLOWED = 1e-9  # relative; the same sums in the same order, on fewer rows
TIME_LIMIT = 120.0  # seconds
PARTS = ("columns", "readings", "texts", "features")  # of the loader, in the order in which one needs the other
OWN_IMPORT = re.compile(r"^from emoprune\..*\n", re.MULTILINE)
FUTURE = "from __future__ import annotations\n"  # at the top of a file alone


def export_subset(
    folder: Path, task: TableTask, loaded: Loaded, terms: Sequence[Term], described: Description
) -> Description:
    """Write chosen features and the model trained on them, verify both in a fresh process, and say what was measured.

    Everything is learnt on the rows to search on, as for the scores on the rows to select and to test on.

    Raises:
        ContractError: What was reloaded gives other features or predictions.
        StorageError: The folder cannot be written.
    """
    block, metric = task.parts.test, task.measures.metric
    features = features_of(loaded.computed, block, terms)
    model = loaded.learner.fitted(loaded.computed, block, terms, 0)
    expected = loaded.computed.matrix(terms, block, block.scored)
    predictions = model.predict(expected)
    score = metric(task.table.target[block.scored], predictions, task.table.weights_of(block.scored))
    with about_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_features(folder, features)
        written = model.write(folder)
        answer = _verified(folder, task, expected, predictions, written)
        said: dict[str, str | int | float] = {**described, f"test {metric.name}": score, "model": written or "none"}
        said |= {"difference of features": answer["difference"], "verified": "in a fresh process without emoprune"}
        card = feature_card(features, task, said, written)
        (folder / "README.md").write_text(card, encoding="utf-8")
    return said


def write_features(folder: Path, features: Features) -> None:
    """Write features.json, statistics.npz and features.py, which computes the features from the two."""
    plan = {**features.plan, "made_with": {name: version(name) for name in ("emoprune", "numpy")}}
    (folder / "features.json").write_text(json.dumps(plan, indent=1, ensure_ascii=False), encoding="utf-8")
    np.savez_compressed(folder / "statistics.npz", **dict(features.learnt))  # type: ignore[arg-type]  # its stub takes allow_pickle for an array
    (folder / "features.py").write_text(_loader(), encoding="utf-8")


def _loader() -> str:
    """Return the code that computes features as one file: each part of it instead of the import of that part."""
    sources = [files("emoprune.problems.tables.standalone").joinpath(f"{part}.py").read_text("utf-8") for part in PARTS]
    first, *others = (OWN_IMPORT.sub("", source) for source in (sources[-1], *sources[:-1]))
    place = first.index("HERE = ")
    return first[:place] + "".join(each.replace(FUTURE, "") for each in others) + "\n\n" + first[place:]


def _verified(
    folder: Path, task: TableTask, expected: NDArray[np.float64], predictions: NDArray[np.float64], model: str | None
) -> dict[str, Any]:
    frame = frame_of(task.table, task.parts.test.scored)
    arrays: dict[str, NDArray[Any]] = {"expected": expected}
    for number, column in enumerate(frame.values()):
        if column.dtype.kind in "fM":
            arrays[f"column {number}"] = column
        else:  # an array of texts would take the length of the longest one for each of them
            written = json.dumps([None if value is None else str(value) for value in column])
            arrays[f"texts {number}"] = np.frombuffer(written.encode(), np.uint8)
    if model is not None:
        arrays["predictions"] = predictions[:, 1] if task.table.task == "binary" else predictions

    def write_inputs(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for an array

    request = {"folder": str(folder.resolve()), "columns": list(frame), "model": model}
    with as_file(files("emoprune.problems.tables.standalone") / "verify.py") as script:
        found = run_script(script, request, write_inputs, TIME_LIMIT)
    for what in ("difference", "alone", "predictions"):
        if found.get(what, 0.0) > ALLOWED:
            raise ContractError(
                f"export: what was reloaded is not what was evaluated ({what}: {found[what]:.3g}, expected at most "
                f"{ALLOWED:g}); do not use it, and report the table"
            )
    if found["emoprune"]:
        raise ContractError("export: the exported loader imported emoprune, expected it to need numpy alone")
    return found
