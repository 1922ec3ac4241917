"""Load an exported folder in this process, select rows, and say whether they are the expected ones.

python verify.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer one question: folder, hashes that are expected, a column of row numbers."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    samples = runpy.run_path(str(folder / "samples.py"))["load_samples"](folder)
    with np.load(asked["inputs"], allow_pickle=False) as stored:
        numbers, expected = stored["numbers"], stored["expected"]
    answer = {
        "same": bool(np.array_equal(samples.select(numbers), expected)) and list(samples.hashes) == asked["hashes"],
        "emoprune": any(name.partition(".")[0] == "emoprune" for name in sys.modules),
    }
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


main()
