"""Deletion of random tokens: what any method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from emoprune.contracts import Found, Reference, about
from emoprune.problems.prompts.references.contract import ReferenceInputs
from emoprune.problems.prompts.references.ranked import at_shares, kept_by, random_order

__all__ = ["RandomDeletion"]


@about("pruning", ["tokens"], serves=["prompt-tokens"], cost="a random number per token")
@dataclass(frozen=True, slots=True)
class RandomDeletion:
    """Delete random tokens, down to 75, 50 and 25 % of them, and as many as each method did that measures prompts."""

    order: ClassVar[int] = 9

    def found(self, inputs: ReferenceInputs) -> Found:
        """Return a reference for each share, and one as `random-as-<reference>` for each that others ended with."""
        space, rng = inputs.space, inputs.rng
        references = list(at_shares("random", random_order(space, rng), space))
        for ended in inputs.ended:
            share = float(ended.genome[space.free].sum() / space.free.sum())
            genome = kept_by(random_order(space, rng), space, share)
            references.append(Reference(f"random-as-{ended.name}", genome))
        return Found(tuple(references))
