"""The two prunings of CON-FOLD, each alone and one after the other."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.problems.rules.measured import CONFOLD
from emoprune.problems.rules.references.contract import ReferenceInputs

__all__ = ["Confidence", "Confold", "Improvement"]

COST = "one pass over the training rows for each exception"


@about("pruning", ["rules"], serves=["rules"], cost=COST, papers=[CONFOLD])
@dataclass(frozen=True, slots=True)
class Improvement:
    """Drop the exceptions that add too little to the confidence of their rule."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return one genome."""
        return Found((Reference("improvement", inputs.pruned(inputs.improvement, 0.0)),))


@about("pruning", ["rules"], serves=["rules"], cost=COST, papers=[CONFOLD])
@dataclass(frozen=True, slots=True)
class Confidence:
    """Drop the rules that are trusted too little."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return one genome."""
        return Found((Reference("confidence", inputs.pruned(0.0, inputs.confidence)),))


@about("pruning", ["rules"], serves=["rules"], cost=COST, papers=[CONFOLD])
@dataclass(frozen=True, slots=True)
class Confold:
    """Drop the exceptions that add too little to a confidence, then the rules that are trusted too little."""

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return one genome."""
        return Found((Reference("confold", inputs.pruned(inputs.improvement, inputs.confidence)),))
