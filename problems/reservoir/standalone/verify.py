"""Load an exported folder in this process, forecast a series, and say how the forecasts differ.

python verify.py ASKED.json ANSWER.json
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer one question: folder, series, expected forecasts."""
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(asked["folder"])
    network = runpy.run_path(str(folder / "reservoir.py"))["load_reservoir"](folder)
    with np.load(asked["inputs"], allow_pickle=False) as stored:
        series, expected = stored["series"], stored["expected"]
    found = network.forecast(series)
    answer = {
        "difference": float(np.nanmax(np.abs(found - expected) / network.deviation)),
        "emoprune": any(name.partition(".")[0] == "emoprune" for name in sys.modules),
    }
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")


main()
