"""Layers, shares and selectors drawn at random."""

from __future__ import annotations

from dataclasses import dataclass

from emoprune.contracts import Found, Reference, about
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.tokens.references.inputs import TokenInputs

__all__ = ["RandomTokens"]


@about("pruning", ["tokens"], serves=[TOKENS], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class RandomTokens:
    """Policies whose genes are all drawn at random.

    Args:
        count: How many.
    """

    count: int = 3

    def found(self, inputs: TokenInputs) -> Found:
        """Return the references, `random-1` and so on."""
        drawn = inputs.rng.integers(inputs.space.levels, size=(self.count, len(inputs.space)))
        genomes = inputs.layout.canonical(drawn)
        return Found(tuple(Reference(f"random-{number}", own) for number, own in enumerate(genomes, start=1)))
