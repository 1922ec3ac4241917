"""What a selector of tokens is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["TokenSelector"]


class TokenSelector(Protocol):
    """Chooses tokens between two layers, by a dataclass that stands in a file which imports torch alone.

    That file goes into every exported folder, with the dataclass' fields as plain data. `token_selectors.py` says what
    it is given, and which of three shapes it has: `score(units, strength)`, `gains(units, strength)` of a set function,
    or `score` beside `counts(units)`, for which a gene adds one of `offsets`.
    """

    strengths: Sequence[float]  # what a gene chooses from
    offsets: Sequence[int]  # what is added to its own counts, from few to many tokens; none where it has no counts

    def program(self) -> Any:
        """Return the dataclass that chooses."""
        ...
