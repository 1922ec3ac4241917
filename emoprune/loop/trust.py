"""Whose code a run names: nothing is imported for a run that is not one's own, unless the user says so."""

from __future__ import annotations

from emoprune.config import import_targets
from emoprune.errors import StorageError, TrustError
from emoprune.run.reader import Run

__all__ = ["trusted"]

UNSIGNED = "it bears no signature: an older emoprune made it, or one that could keep no key"
ANOTHERS = "it bears another's signature, or was altered since it was signed"


def trusted(run: Run, *, trust_code: bool) -> bool:
    """Return whether code may be imported for a run, and the folders of its code be looked at.

    Raises:
        TrustError: It may not, and the run or one of its stages names code to import.
    """
    parts = [run, *(Run(path.parent) for path in sorted(run.path.glob("stages/*/manifest.json")))]
    why = None if trust_code else next(filter(None, map(_why_foreign, parts)), None)
    targets = sorted({target for part in parts for target in import_targets(part.config)})
    if why is not None and targets:
        raise TrustError(
            f"run {run.name} would import {', '.join(map(repr, targets))} here, and is not known to be yours: {why}; "
            "look at that code, then repeat with --trust-code (trust_code=True in Python); a resume then signs the run"
        )
    return why is None


def _why_foreign(run: Run) -> str | None:
    """Say why a run does not count as one's own; None if it does."""
    try:
        if run.signed_by_user:
            return None
    except StorageError as error:
        return str(error)
    return ANOTHERS if run.manifest.get("signed") else UNSIGNED
