"""What says how important a cached key is."""

from __future__ import annotations

from typing import Protocol

import torch

__all__ = ["Importance"]


class Importance(Protocol):
    """Scores of keys from the attention that they get; a frozen dataclass in a module that imports torch alone.

    The file it stands in goes into every exported folder, with its fields as plain data.
    """

    def start(self, weights: torch.Tensor) -> torch.Tensor:
        """Return scores per query head, shape (rows, heads, keys), once a prompt was read.

        Args:
            weights: Attention of the whole prompt, shape (rows, heads, queries, keys); zeros at padding.
        """
        ...

    def follow(self, scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Return scores after one more query, all of shape (rows, heads, keys), `weights` that query's."""
        ...
