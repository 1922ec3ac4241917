"""Load an exported folder in this process, compute its features for new rows, and say how they differ.

python verify.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer one question: folder, rows as arrays, expected features and predictions."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    features = runpy.run_path(str(folder / "features.py"))["load_features"](folder)
    with np.load(asked["inputs"], allow_pickle=False) as stored:
        frame = {name: _column(stored, number) for number, name in enumerate(asked["columns"])}
        expected = stored["expected"]
        predictions = stored["predictions"] if asked["model"] else None
    found = features.transform(frame)
    singles = [{name: array[row : row + 1] for name, array in frame.items()} for row in (0, len(expected) - 1)]
    alone = np.vstack([features.transform(single) for single in singles])
    answer = {
        "difference": _difference(found, expected),
        "alone": _difference(alone, expected[[0, -1]]),
        "names": features.names,
        "emoprune": any(name.partition(".")[0] == "emoprune" for name in sys.modules),
    }
    if predictions is not None:
        import lightgbm

        model = lightgbm.Booster(model_file=folder / asked["model"])
        made = np.asarray(model.predict(found, num_threads=1))
        answer["predictions"] = _difference(made, predictions)
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


def _column(stored: np.lib.npyio.NpzFile, number: int) -> np.ndarray:
    """Return a column as a frame would hold it; texts were written as JSON."""
    if f"column {number}" in stored:
        return stored[f"column {number}"]
    texts = json.loads(stored[f"texts {number}"].tobytes())
    return np.fromiter(texts, object, len(texts))


def _difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest relative difference; infinity where one has a gap and the other has none."""
    if found.shape != expected.shape or not np.array_equal(np.isnan(found), np.isnan(expected)):
        return float("inf")
    scale = np.maximum(np.abs(expected), 1.0)
    return float(np.nanmax(np.abs(found - expected) / scale, initial=0.0))


main()
