"""Scores at chance level, from which nothing can be chosen: what guessing scores, and the alarms that say it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Finding, FloatArray
from emoprune.problems.networks.statistics.intervals import wilson
from emoprune.records import Candidate
from emoprune.space import IntArray

__all__ = [
    "alarms_about",
    "chance_finding",
    "guessing",
    "guessing_loss",
    "indistinguishable_from_guessing",
    "no_better_than_guessing",
]

SHOWN = 8  # candidates that are named
UNPRUNED = "reference:unpruned"


def guessing(labels: IntArray) -> float:
    """Return the error of always saying the largest class, from labels of shape (n,)."""
    return 1.0 - float(np.bincount(labels).max()) / len(labels)


def guessing_loss(labels: IntArray) -> float:
    """Return the cross-entropy in nats of knowing nothing but how large each class is, from labels of shape (n,)."""
    shares = np.bincount(labels) / len(labels)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def indistinguishable_from_guessing(errors: FloatArray, labels: IntArray) -> NDArray[np.bool_]:
    """Say which errors, shape (candidates,), on images with these labels reach guessing in their Wilson interval."""
    return np.asarray(wilson(np.round(errors * len(labels)), len(labels))[1] >= guessing(labels))


def no_better_than_guessing(error: float, labels: IntArray, where: str) -> str | None:
    """Return the alarm for an unpruned network of this error on images with these labels, None if it has learnt."""
    if not indistinguishable_from_guessing(np.array([error]), labels)[0]:
        return None
    return _unpruned(f"errs on {error:.1%} of the {where}", labels)


def alarms_about(
    candidates: Sequence[Candidate], values: FloatArray, columns: Sequence[str], labels: IntArray
) -> list[str]:
    """Return an alarm for the unpruned network, or else one for all other candidates that score like guessing.

    Args:
        candidates: The unpruned one among them.
        values: What was measured of them, shape (candidates, columns).
        columns: The measures' names; without `error` and `loss` nothing can be said.
        labels: Of the images that they were measured on.
    """
    scored = next((name for name in ("error", "loss") if name in columns), None)
    if scored is None:
        return []
    scores = values[:, list(columns).index(scored)]
    at_chance = scores >= guessing_loss(labels)
    if scored == "error":
        at_chance = indistinguishable_from_guessing(scores, labels)
    lost = [(each, score) for each, score, own in zip(candidates, scores.tolist(), at_chance, strict=True) if own]
    for each, score in lost:
        if each.origin == UNPRUNED:
            said = f"errs on {score:.1%}" if scored == "error" else f"has a loss of {score:.3f}"
            return [_unpruned(f"{said} on the search part", labels)]
    return [_of_candidates([str(each.id) for each, _ in lost], labels)] if lost else []


def _unpruned(said: str, labels: IntArray) -> str:
    return (
        f"The unpruned network {said}, and guessing errs on {guessing(labels):.1%}: nothing can be chosen by such "
        "scores. Are these its weights, is the data prepared as in its training, are the classes numbered alike?"
    )


def _of_candidates(ids: Sequence[str], labels: IntArray) -> str:
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    what = "Candidate" if len(ids) == 1 else "Candidates"
    return (
        f"{what} {', '.join(ids[:SHOWN])}{more} of the front and the references cannot be told from guessing, which "
        f"errs on {guessing(labels):.1%}: nothing is to be chosen there."
    )


def chance_finding(errors: FloatArray, labels: IntArray) -> Finding:
    """Judge scores at chance level, which nothing can be chosen by.

    Args:
        errors: The proxy's error of each candidate, shape (candidates,).
        labels: Of the images they were scored on, shape (images,).
    """
    lost = np.flatnonzero(indistinguishable_from_guessing(errors, labels))
    level = guessing(labels)
    if len(lost):
        which = ", ".join(str(number + 1) for number in lost)
        sentence = (
            f"{len(lost)} of {len(errors)} scores (number {which} along the front) cannot be told from guessing, "
            f"which errs on {level:.1%}: nothing can be chosen by them."
        )
    else:
        sentence = f"All {len(errors)} scores are better than guessing, which errs on {level:.1%} of the images."
    return Finding("scores at chance level", len(lost) / len(errors), None, None, len(lost) > 0, sentence)
