"""A pruned reservoir as a folder that forecasts without emoprune."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.reservoir.standalone.reservoir import FORMAT, FloatArray, Network
from emoprune.problems.storage.exported import about_folder

__all__ = ["export_network"]

STANDALONE = "emoprune.problems.reservoir.standalone"
ALLOWED = 1e-6  # deviations; sums of fewer zeros round otherwise
TIME_LIMIT = 60.0  # seconds


def export_network(folder: Path, network: Network, series: FloatArray) -> str:
    """Write a network, verify its forecasts of a series in a fresh process, and say what was written.

    Raises:
        ContractError: What was reloaded forecasts something else.
        StorageError: The folder cannot be written.
    """
    own = network.reservoir
    plan = {
        "format": FORMAT,
        "made_with": {name: version(name) for name in ("emoprune", "numpy")},
        "threshold": own.threshold,
        **{name: getattr(network, name) for name in ("mean", "deviation", "horizon", "washout")},
    }
    to, source = np.nonzero(own.weights)
    with about_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "reservoir.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")
        edges = {"to": to, "from": source, "values": own.weights[to, source]}
        arrays = {**edges, "readout": network.readout, "inputs": own.inputs, "bias": own.bias, "leak": own.leak}
        np.savez_compressed(folder / "weights.npz", **arrays)  # type: ignore[arg-type]  # its stub takes allow_pickle for an array
        with as_file(files(STANDALONE) / "reservoir.py") as script:
            shutil.copyfile(script, folder / "reservoir.py")
    _verify(folder, network, series)
    return "reservoir.json, weights.npz, reservoir.py"


def _verify(folder: Path, network: Network, series: FloatArray) -> None:
    def write_inputs(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, series=series, expected=network.forecast(series))

    with as_file(files(STANDALONE) / "verify.py") as script:
        found = run_script(script, {"folder": str(folder.resolve())}, write_inputs, TIME_LIMIT)
    if not found["difference"] <= ALLOWED:
        raise ContractError(
            f"export: the reloaded reservoir forecasts something else, by {found['difference']:.3g} deviations; do not "
            "use it, and report the options"
        )
    if found["emoprune"]:
        raise ContractError("export: the exported reservoir imported emoprune, expected it to need numpy alone")
