"""Whose code a run names: nothing is imported for a run that was made elsewhere, unless the user says so."""

from __future__ import annotations

from emoprune.config import import_targets
from emoprune.errors import TrustError
from emoprune.run.reader import Run
from emoprune.run.recorder import environment

__all__ = ["check_trust"]


def check_trust(run: Run, *, trust_code: bool) -> None:
    """Refuse to import code named by a run that came from elsewhere.

    Raises:
        TrustError: The run names import targets and was made by another user or on another host.
    """
    targets = import_targets(run.config)
    here, made = environment(), run.manifest["environment"]
    if targets and not trust_code and (made["host"], made["user"]) != (here["host"], here["user"]):
        raise TrustError(
            f"run {run.name} was made on {made['host']} and would import {', '.join(map(repr, targets))} here; "
            "look at that code, then repeat with --trust-code (trust_code=True in Python)"
        )
