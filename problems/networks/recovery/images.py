"""What a network is trained on, loaded once for all trainings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import LabelledImages

__all__ = ["TrainingImages"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingImages:
    """Images of shape (n, channels, height, width) and labels of shape (n,) on their device, loaded once."""

    images: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def load(cls, part: LabelledImages, device: str, at_most: int | None = None) -> TrainingImages:
        """Copy a part of the data to `device`, or `at_most` so many images evenly spread over it."""
        if at_most is not None and at_most < 2:
            raise ConfigError(f"training_images: expected at least 2, or None for all, found {at_most}")
        count = len(part) if at_most is None else min(at_most, len(part))
        rows = torch.arange(count) * len(part) // count
        own = rows.numpy()
        return cls(torch.tensor(part.images[own], device=device), torch.tensor(part.labels[own], device=device))

    def __len__(self) -> int:
        return len(self.labels)
