"""What a selector of cached keys is made of."""

from __future__ import annotations

from typing import Protocol

from emoprune.problems.networks.transformers.inference.reading.contract import Importance

__all__ = ["KeySelector"]


class KeySelector(Protocol):
    """Scores units, here cached keys, of which the best stay; the newest of equals."""

    def importance(self) -> Importance:
        """Return what scores keys while a text goes on."""
        ...
