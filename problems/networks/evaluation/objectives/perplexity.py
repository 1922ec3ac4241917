"""How many tokens a language model hesitates between."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import nn

from emoprune.contracts import Direction, Link, about
from emoprune.problems.networks.evaluation.objectives.contract import TRANSFORMERS, Needs, Seen

__all__ = ["Perplexity"]


@about("measurement", ["network"], serves=TRANSFORMERS, cost="one pass over the windows of text")
class Perplexity:
    """e to the mean loss of the next token."""

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"
    link: ClassVar[Link] = "exp-mean"

    def __call__(self, seen: Seen) -> float:
        """Return the perplexity of outputs over a vocabulary, computed in 64 bits."""
        return math.exp(float(nn.functional.cross_entropy(seen.outputs.double(), seen.labels)))
