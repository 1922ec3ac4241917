"""What a proxy promises: batch-norm statistics for a pruned network, from those it had and those it meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from emoprune.errors import ContractError

__all__ = ["NormEstimate", "NormStatistics"]


@dataclass(frozen=True, slots=True, eq=False)
class NormStatistics:
    """Mean and variance of each channel of one batch norm, both of shape (channels,)."""

    mean: torch.Tensor
    variance: torch.Tensor

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.variance.shape:
            raise ContractError(
                f"batch-norm statistics: expected one mean and one variance per channel, found shapes "
                f"{tuple(self.mean.shape)} and {tuple(self.variance.shape)}"
            )


class NormEstimate(Protocol):
    """Says which statistics a batch norm is scored with: what a proxy makes, or is."""

    def __call__(self, sliced: NormStatistics, batches: Sequence[NormStatistics]) -> NormStatistics:
        """Return the statistics of one batch norm, variances of 0 or more; what it is given stays as it was.

        Args:
            sliced: The unpruned network's statistics of the channels that stay.
            batches: For each calibration batch, in order, its own mean and unbiased variance.
        """
        ...
