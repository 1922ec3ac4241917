"""Load an exported folder in this process, and say how it differs from what is expected.

python verify.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer one question: folder, expected pixels or points."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    with np.load(asked["inputs"], allow_pickle=False) as stored:
        expected = stored["expected"]
    if asked["what"] == "points":
        points = runpy.run_path(str(folder / "ply.py"))["read_ply"](folder / "point_cloud.ply")
        same = len(points) == len(expected) and points.tobytes() == expected.tobytes()
        difference = 0.0 if same else float("inf")
    else:
        found = runpy.run_path(str(folder / "splats.py"))["load_splats"](folder).image()
        difference = float(np.abs(found - expected).max())
    answer = {
        "difference": difference,
        "emoprune": any(name.partition(".")[0] == "emoprune" for name in sys.modules),
    }
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


main()
