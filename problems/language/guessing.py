"""Whether an unpruned model knows anything: by the scores of one that guesses, nothing can be chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError

__all__ = ["Tried", "guessing", "refusal", "refuse_guessing"]

SURE = 1.96  # standard errors, beyond which a score is told from guessing
GO_ON = "accept_guessing: true searches all the same"


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """What came of labelled examples, each of shape (n,): what was answered, its loss in nats, what is right.

    Answers that are written have no losses, shape (0,).
    """

    answers: NDArray[np.int64]
    losses: FloatArray
    gold: NDArray[np.int64]

    def joined(self, other: Tried) -> Tried:
        """Return these examples and others."""
        return Tried(
            np.concatenate([self.answers, other.answers]),
            np.concatenate([self.losses, other.losses]),
            np.concatenate([self.gold, other.gold]),
        )

    @property
    def error(self) -> float:
        """The share of wrong answers."""
        return float((self.answers != self.gold).mean())

    @property
    def guessed(self) -> float:
        """The error of always saying the largest class."""
        return 1.0 - float(np.bincount(self.gold).max()) / len(self.gold)

    @property
    def said(self) -> str:
        """How often it errs, and how often one that guesses does."""
        return (
            f"errs on {self.error:.1%} of {len(self.gold)} examples, where always saying the largest class errs on "
            f"{self.guessed:.1%}"
        )

    @property
    def knows(self) -> bool:
        """Whether error or loss can be told from knowing nothing but how large each class is.

        Both are asked where there are losses, because where one class is large a model that is worth something errs as
        often as its size.
        """
        count, guessed = len(self.gold), self.guessed
        if self.error + SURE * math.sqrt(guessed * (1.0 - guessed) / count) < guessed:
            return True
        if not len(self.losses):
            return False
        shares = np.bincount(self.gold) / count
        shares = shares[shares > 0]
        known = float(-(shares * np.log(shares)).sum())
        spread = float(self.losses.std()) / math.sqrt(count)
        return bool(float(self.losses.mean()) + SURE * spread < known)


def guessing(pieces: Iterable[Tried]) -> Tried | None:
    """Return what was tried if all pieces together cannot be told from guessing; None if they can.

    Args:
        pieces: What was tried, on one part of the data after the other; no more of them are asked for than it takes.
    """
    tried: Tried | None = None
    for piece in pieces:
        tried = piece if tried is None else tried.joined(piece)
        if tried.knows:
            return None
    return tried


def refuse_guessing(pieces: Iterable[Tried], what: str, reasons: Callable[[], Sequence[str]]) -> None:
    """Refuse what scores like guessing on all pieces together; no more of them are asked for than it takes.

    Args:
        pieces: What was tried, on one part of the data after the other.
        what: What was tried, in the words of a person.
        reasons: Says what is likely wrong if it guesses.

    Raises:
        ConfigError: It cannot be told from guessing.
    """
    tried = guessing(pieces)
    if tried is not None:
        raise ConfigError(refusal(what, tried.said, reasons()))


def refusal(what: str, scored: str, reasons: Sequence[str]) -> str:
    """Return why a search is not begun, what is likely wrong, and how to go on anyway."""
    listed = "; ".join(f"({number}) {reason}" for number, reason in enumerate(reasons, start=1))
    return (
        f"model: {what} {scored}: it scores like guessing, and by noise nothing can be chosen. Likely: {listed}. "
        f"Mend it, or {GO_ON}"
    )
