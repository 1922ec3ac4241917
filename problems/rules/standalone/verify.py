"""Load an exported folder in this process, classify new rows, and say how the probabilities differ.

python verify.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer one question: folder, rows by column, expected probabilities."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    rules = runpy.run_path(str(folder / "rules.py"))["load_rules"](folder)
    with np.load(asked["inputs"], allow_pickle=False) as stored:
        frame = {name: _column(stored, number) for number, name in enumerate(asked["columns"])}
        expected = stored["expected"]
    found = rules.predict_proba(frame)
    answer = {
        "difference": float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf"),
        "literals": rules.literals_,
        "emoprune": any(name.partition(".")[0] == "emoprune" for name in sys.modules),
    }
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


def _column(stored: np.lib.npyio.NpzFile, number: int) -> np.ndarray:
    """Return a column as a frame would hold it; texts were written as JSON."""
    if f"column {number}" in stored:
        return stored[f"column {number}"]
    texts = json.loads(stored[f"texts {number}"].tobytes())
    return np.fromiter(texts, object, len(texts))


main()
