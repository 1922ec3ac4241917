"""What a criterion may look at, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.scoring import LoadedImages

__all__ = ["Criterion", "Evidence", "Scores"]

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


class Criterion(Protocol):
    """Says which units of each coupling group matter most; computed once per run and shared by every genome."""

    leaf: ClassVar[str]  # its place in the taxonomy of the surveys, as in `taxonomy.py`
    # One that ranks the units of other problems as well, or of others alone, names them all in `serves`; without it a
    # criterion serves `channels`.

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return one finite score per unit for each coupling group, the larger the more it is worth keeping."""
        ...
