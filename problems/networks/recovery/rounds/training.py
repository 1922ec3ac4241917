"""What a reference that trains is given: the unpruned network, images, and where states are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.scoring import LoadedImages
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.images import ImageLessons

__all__ = ["Training"]


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """The unpruned network in eval mode, which stays as it was, and what copies of it are trained on.

    Attributes:
        network: On the CPU.
        train: The training part of the data.
        select: Images of the select part.
        macs: Multiply-accumulates of one image through the unpruned network.
        seed: Where all randomness of training comes from.
        folder: Where states are kept, so that what was interrupted goes on; None keeps them in memory.
    """

    network: nn.Module
    train: LabelledImages
    select: LoadedImages
    macs: float
    seed: int
    folder: Path | None = None

    def copy(self) -> nn.Module:
        """Return the network with tensors of its own that take gradients."""
        return trainable(self.network)

    def lessons(self, plan: Plan) -> ImageLessons:
        """Return what is trained on."""
        return ImageLessons(TrainingImages.load(self.train, "cpu"), plan, self.select)

    def halves(self) -> tuple[Training, Training]:
        """Return the same with the images of every other class alone, and with those of the rest.

        Raises:
            ConfigError: There are too few classes, or too few images of some.
        """
        present = np.unique(self.train.labels)
        parts = [np.isin(self.train.labels, present[half::2]) for half in range(2)]
        if min(int(own.sum()) for own in parts) < 2:
            raise ConfigError(
                f"reference: the training images are of {len(present)} classes; expected at least 2, with 2 images "
                "each, so that each half of the classes can be learnt"
            )
        images, labels = self.train.images, self.train.labels
        one, other = (replace(self, train=LabelledImages(images[own], labels[own])) for own in parts)
        return one, other
