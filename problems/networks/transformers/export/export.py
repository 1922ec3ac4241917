"""Exporting a narrowed transformer: written, verified and timed beside the unpruned one, with a page about it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from emoprune.contracts import Description
from emoprune.problems.networks.export.card import Measured
from emoprune.problems.networks.export.files import write_json
from emoprune.problems.networks.transformers.export.card import Facts, model_card
from emoprune.problems.networks.transformers.export.folders import Exported, weights_bytes, write_folder
from emoprune.problems.networks.transformers.export.verify import Verified, verify
from emoprune.problems.networks.transformers.tasks.opening import Opened
from emoprune.problems.storage.exported import about_folder

__all__ = ["export_model"]


def export_model(
    folder: Path,
    opened: Opened,
    exported: tuple[Exported, Exported],
    facts: Facts,
    *,
    length: int,
    check: bool,
) -> Description:
    """Write a model into `folder`, and return what was measured and verified.

    Args:
        folder: Where to.
        opened: The unpruned model's task and source.
        exported: The pruned and the unpruned model, both on the CPU.
        facts: What the page says.
        length: Tokens in a timed example.
        check: Whether a fresh process loads what was written, compares and times it.

    Raises:
        ContractError: The reloaded model is not this one, or does not write what it writes.
        StorageError: The folder cannot be written.
    """
    measured = {row.label: {"pruned": row.pruned, "unpruned": row.unpruned} for row in facts.rows}
    more = {"kept": dict(facts.described), "measured": measured}
    with about_folder(folder):
        layout = write_folder(folder, exported[0], opened, more)
        rows = list(facts.rows)
        found: Verified | None = None
        if check:
            with tempfile.TemporaryDirectory() as scratch:
                write_folder(Path(scratch), exported[1], opened, {})
                folders, threads = (folder, Path(scratch)), torch.get_num_threads()
                found = verify(folders, layout, exported[0].model, opened, length=length, threads=threads)
                rows.append(Measured("weights file bytes", weights_bytes(folder), weights_bytes(Path(scratch))))
            rows += _times(found)
            write_json(folder / "verify.json", _plain(found))
        else:
            rows.append(Measured("weights file bytes", weights_bytes(folder), None))
        (folder / "README.md").write_text(model_card(opened, facts, rows, found, layout), encoding="utf-8")
    return _said(rows, found)


def _times(found: Verified) -> list[Measured]:
    return [
        Measured(f"milliseconds, batch of {size}", round(pair[0].median, 3), round(pair[1].median, 3))
        for size, pair in found.timings.items()
    ]


def _plain(found: Verified) -> dict[str, Any]:
    timings = [
        {"model": name, **asdict(timing)}
        for pair in found.timings.values()
        for name, timing in zip(("pruned", "unpruned"), pair, strict=True)
    ]
    facts: dict[str, Any] = {"difference": found.difference, "tolerance": found.tolerance, "examples": found.examples}
    facts |= {"loaded by": list(found.loaded), "written": found.written}
    return {**facts, "timings": timings, "ran_on": dict(found.ran_on)}


def _said(rows: Sequence[Measured], found: Verified | None) -> Description:
    said: dict[str, str | int | float] = {}
    for row in rows:
        said[row.label] = row.pruned
        if row.unpruned is not None:
            said[f"{row.label} unpruned"] = row.unpruned
    if found is not None:
        said |= {"max abs difference": found.difference, "allowed difference": found.tolerance}
        said |= {"loaded by": " and ".join(found.loaded), "written": found.written}
    return said | {"verified": "in a fresh process without emoprune" if found else "no"}
