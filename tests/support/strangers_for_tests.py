"""Runs as a stranger would send them: not signed by this user, with code that says when it is imported."""

from __future__ import annotations

import json
from pathlib import Path

from emoprune.storage import fingerprint, read_json, write_sealed

__all__ = ["altered", "strangers", "trap"]


def strangers(run: Path) -> None:
    """Put another's signature under a run."""
    altered(run / "manifest.json", signed=["0" * 64])


def altered(file: Path, **members: object) -> None:
    """Replace some members of a JSON file in a run, and the checksums that go by it, as a stranger can."""
    plain = {**read_json(file), **members}
    if file.name != "config.resolved.json":
        write_sealed(file, plain)
        return
    file.write_text(json.dumps(plain))
    altered(file.with_name("manifest.json"), configs=[fingerprint(plain)])


def trap(folder: Path, *modules: str) -> Path:
    """Write modules that leave a file behind when one is imported; return that file."""
    sprung = folder / "sprung"
    for name in modules:
        place = folder / f"{name.replace('.', '/')}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"open({str(sprung)!r}, 'w').close()\n\nclass Thing: ...\n\ndef make(): ...\n")
    return sprung
