"""What stands between a prompt and its answers: decided once, by how much of what the model would say they are."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoprune.contracts import FloatArray
from emoprune.errors import RunCorrupt
from emoprune.problems.prompts.scorers.choices import Choices
from emoprune.problems.storage.kept import write_json

__all__ = ["LEAST_MASS", "Continuation", "chosen_continuation", "heaviest", "kept_continuation", "masses_of"]

LEAST_MASS = 0.05  # of the probability after the prompt, on the answers; below it, they are compared in a corner

_WORDS = {"space": "after a space", "nothing": "without a space", "ending": "after a space"}
_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class Continuation:
    """How answers follow the prompt: `between` is the one that is taken, `masses` the mass on the answers by each.

    The mass is the mean over the search part's examples of what the answers' probabilities add up to, for the prompt
    as it was given.
    """

    between: str
    masses: Mapping[str, float]

    @property
    def mass(self) -> float:
        """The mass on the answers as they follow."""
        return self.masses[self.between]

    def said(self, choices: Choices, *, masked: bool) -> str:
        """Say what was taken, and why."""
        if len(self.masses) == 1:
            return f"{_of(self.mass)} of the probability lies on the answers {', '.join(map(repr, choices.words[:6]))}"
        others = [f", {_WORDS[name]} {_of(mass)}" for name, mass in self.masses.items() if name != self.between]
        where = "stand in place of the mask" if masked else "follow the prompt"
        return (
            f"answers {where} {_WORDS[self.between]}, as in {choices.words[0]!r}: {_of(self.mass)} of the "
            f"probability lies on them{''.join(others)}"
        )

    def alarm(self, choices: Choices) -> str | None:
        """Return what a person should be alarmed by, if little of the probability lies on the answers."""
        if self.mass >= LEAST_MASS:
            return None
        return (
            f"only {_of(self.mass)} of the probability after the whole prompt lies on the answers "
            f"{', '.join(map(repr, choices.words[:6]))}: the model would say something else, and which of them is the "
            "likeliest may say little; choose verbalisers that it would say, or let the prompt name them"
        )


def _of(mass: float) -> str:
    return f"{100 * mass:.3g} %"


def kept_continuation(path: Path) -> Continuation | None:
    """Return what was decided before; None if nothing was.

    Raises:
        RunCorrupt: The file is of another form.
    """
    if not path.exists():
        return None
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        masses = {str(name): float(mass) for name, mass in plain["masses"].items()}
        return Continuation({name: name for name in masses}[plain["between"]], masses)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunCorrupt(f"{path.name}: expected what stands before the answers, found something else") from error


def masses_of(alternatives: Mapping[str, Choices], asked: Callable[[Choices], FloatArray]) -> dict[str, float]:
    """Return the mass on the answers as they follow a prompt in each way.

    Args:
        alternatives: The answers by way.
        asked: Returns the log-likelihood of each word after each example, shape (rows, words).
    """
    likelihoods = asked(Choices.together(list(alternatives.values())))
    columns = np.nan_to_num(np.exp(likelihoods)).mean(axis=0)  # what is no number has no mass, and fails when measured
    masses, begin = {}, 0
    for name, choices in alternatives.items():
        # A word that another begins with is counted within it once more.
        masses[name] = min(1.0, float(columns[begin : begin + len(choices.words)].sum()))
        begin += len(choices.words)
    return masses


def heaviest(masses: Mapping[str, float]) -> str:
    """Return the way with the most mass, the first of equals."""
    return max(masses, key=lambda name: masses[name])


def chosen_continuation(
    path: Path, alternatives: Mapping[str, Choices], asked: Callable[[Choices], FloatArray], *, masked: bool
) -> Continuation:
    """Return the continuation with the most mass on the answers, and keep it.

    Args:
        path: Where it is kept.
        alternatives: The answers as they may follow.
        asked: Returns the log-likelihood of each word after each example of the search part, shape (rows, words).
        masked: Whether they stand in place of a mask.
    """
    masses = masses_of(alternatives, asked)
    found = Continuation(heaviest(masses), masses)
    write_json(path, {"between": found.between, "masses": masses})
    _log.info("%s", found.said(alternatives[found.between], masked=masked))
    return found
