"""How long the prompt is."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, about
from emoprune.problems.prompts.objectives.contract import SERVES, Needs, Seen

__all__ = ["Tokens"]


@about("measurement", ["tokens"], serves=SERVES, cost="a tokenizer's pass over the prompt")
class Tokens:
    """Number of tokens of the prompt without its input."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "prompt"

    def __call__(self, seen: Seen) -> float:
        """Return the number."""
        return float(seen.tokens)
