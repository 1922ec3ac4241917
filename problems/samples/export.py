"""Rows that stay as a folder: their numbers, a manifest of hashes, and what selects them."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from emoprune.errors import ContractError
from emoprune.problems.compute.fresh_process import run_script
from emoprune.problems.samples.genes import Kept
from emoprune.problems.samples.rows import Rows
from emoprune.problems.samples.standalone.samples import FORMAT, row_hashes
from emoprune.problems.storage.exported import about_folder

__all__ = ["export_rows"]

STANDALONE = "emoprune.problems.samples.standalone"


def export_rows(folder: Path, rows: Rows, kept: Kept) -> str:
    """Write rows.json, manifest.json and samples.py, verify them in a fresh process, and say what was written.

    Raises:
        ContractError: What was reloaded selects other rows.
        StorageError: The folder cannot be written.
    """
    numbers = rows.numbers[kept.rows]
    hashes = row_hashes({name: own[kept.rows] for name, own in rows.raw.items()})
    plan = {
        "format": FORMAT,
        "made_with": {name: version(name) for name in ("emoprune", "numpy")},
        "rows": numbers.tolist(),
        "classes": {name: int((rows.labels[kept.rows] == label).sum()) for label, name in enumerate(rows.classes)},
        "share of the teacher": kept.teacher,
        "chosen from": len(rows.labels),
    }
    by_number = dict(zip(map(str, numbers.tolist()), hashes, strict=True))
    manifest = {"data": rows.origin, "columns": sorted(rows.raw), "rows": by_number}
    with about_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rows.json").write_text(json.dumps(plan, indent=1, ensure_ascii=False), encoding="utf-8")
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        with as_file(files(STANDALONE) / "samples.py") as script:
            shutil.copyfile(script, folder / "samples.py")

    def write_inputs(path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, numbers=np.arange(int(rows.numbers.max()) + 1), expected=numbers)

    with as_file(files(STANDALONE) / "verify.py") as script:
        found = run_script(script, {"folder": str(folder.resolve()), "hashes": hashes}, write_inputs, 60.0)
    if not found["same"] or found["emoprune"]:
        raise ContractError("export: a fresh process selects other rows, or needs emoprune; do not use the folder")
    return "rows.json, manifest.json, samples.py"
