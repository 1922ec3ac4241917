"""The tokens that get most attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from emoprune.contracts import about
from emoprune.problems.networks.transformers.inference.measures import TOKENS
from emoprune.problems.networks.transformers.inference.standalone.token_selectors import Attended

__all__ = ["MostAttended"]


@about("pruning", ["tokens"], serves=[TOKENS], cost="the attention that is computed anyway")
class MostAttended:
    """Keep the tokens that get most attention from the class token in the layer before, or from all where none is."""

    strengths: ClassVar[Sequence[float]] = (1.0,)
    offsets: ClassVar[Sequence[int]] = ()

    def program(self) -> Attended:
        """Return what chooses."""
        return Attended()
