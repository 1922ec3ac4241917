"""What criteria and compensations may look at, and the scores that criteria give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["Evidence", "Scores"]

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The unpruned network in eval mode, where its channels lie, labelled images of the training part, and a seed.

    Nothing of it may be left changed: whoever needs gradients or another mode works on a copy.
    """

    network: nn.Module
    structure: Structure
    calibration: LoadedImages
    seed: int
