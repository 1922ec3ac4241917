"""Prompts of random words: what any choice has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.errors import ConfigError
from emoprune.problems.prompts.words.references.contract import ReferenceInputs

__all__ = ["RandomPrompts"]


@about("pruning", ["words"], serves=["prompt-vocabulary"], cost="a random number per slot")
@dataclass(frozen=True, slots=True)
class RandomPrompts:
    """Random words of those that are left, one in each slot.

    Args:
        count: How many such prompts are drawn.
    """

    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"count: expected 1 or more, found {self.count}")

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return `random`, then `random-2`, `random-3` and so on."""
        drawn = inputs.rng.integers(len(inputs.words), size=(self.count, len(inputs.space)))
        return Found(
            tuple(
                Reference("random" if number == 1 else f"random-{number}", inputs.with_words(places))
                for number, places in enumerate(drawn, start=1)
            )
        )
