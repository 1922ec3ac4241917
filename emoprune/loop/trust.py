"""Whose code a run names: nothing is imported for a run that is not one's own, unless the user says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emoprune.config import EvaluationSettings, import_targets
from emoprune.errors import StorageError, TrustError
from emoprune.run.reader import Run

__all__ = ["check_places", "trusted", "without_places"]

PLACES = ("address", "runtime_env")

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


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's config without where it would be measured, and with what."""
    evaluation = {key: value for key, value in config["evaluation"].items() if key not in PLACES}
    return {**config, "evaluation": evaluation}


def check_places(run: Run, settings: EvaluationSettings, mine: EvaluationSettings) -> None:
    """Refuse to measure where a run that is not one's own says: a cluster can run code here, as can what it prepares.

    Args:
        run: Not trusted.
        settings: Of the resume, with what was set over the run's own.
        mine: What was set, over a config `without_places`.

    Raises:
        TrustError: They, or a part of them, are still the run's own.
    """
    for key in PLACES:
        value = getattr(settings, key)
        if value and value != "local" and value != getattr(mine, key):
            raise TrustError(
                f"run {run.name} would be measured with its own evaluation.{key}, {value!r}, and is not known to be "
                f"yours; set all of it (--set evaluation.{key}=...), or look at it and repeat with --trust-code "
                "(trust_code=True in Python); a resume then signs the run"
            )


def _why_foreign(run: Run) -> str | None:
    """Say why a run does not count as one's own; None if it does."""
    try:
        if run.signed_by_user:
            return None
    except StorageError as error:
        return str(error)
    return ANOTHERS if run.manifest.get("signed") else UNSIGNED
