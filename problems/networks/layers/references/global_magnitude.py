"""One threshold on the magnitudes of all weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import FloatArray, Found, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.references.target import AtTargets
from emoprune.problems.networks.layers.references.inputs import LayerReferenceInputs, Sizes
from emoprune.problems.networks.layers.references.targets import AtShares, most_within

__all__ = ["FLOOR", "GlobalMagnitude", "global_magnitude_counts"]

FLOOR = 0.0005  # of all weights: what each layer keeps at least under one threshold


@about(
    "pruning",
    ["weights"],
    serves=("weight-ratios", "transformer-weight-ratios"),
    cost="sorting all weights; nothing is run",
    papers=[
        Paper(
            "Is Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude Pruning", "2209.14624"
        )
    ],
)
@dataclass(frozen=True, slots=True)
class GlobalMagnitude(AtShares):
    """Genomes that keep the largest weights of all layers together, with a floor for each layer.

    Source: Gupta et al., Is Complexity Required for Neural Network Pruning? A Case Study on Global Magnitude Pruning,
    arXiv 2209.14624; the floor is the published one.

    Args:
        percentages: The targets, whole percentages of the weights of all layers that can be pruned.
        floor: Which share of all weights each layer keeps at least.
    """

    floor: float = FLOOR

    def __post_init__(self) -> None:
        AtTargets.__post_init__(self)
        if not 0 <= self.floor <= 1:
            raise ConfigError(f"floor: expected a share from 0 to 1, found {self.floor}; the paper has {FLOOR}")

    def found(self, inputs: LayerReferenceInputs) -> Found:
        """Return a reference for each target."""
        falling = inputs.falling()
        return self.along("global-magnitude", inputs, lambda share: global_magnitude_counts(falling, share, self.floor))


def global_magnitude_counts(falling: Sizes, density: float, floor: float = FLOOR) -> FloatArray:
    """Return how many weights of each layer one threshold on magnitudes keeps, at most `density` of all; (layers,).

    No layer keeps less than the share `floor` of the weights of all layers; smaller layers stay whole, and the
    threshold rises until the others make up for it.

    Args:
        falling: Each layer's magnitudes, the largest first.
        density: The share of all weights that stays.
        floor: May keep more than that share where it asks for it.
    """
    sizes = np.array([len(own) for own in falling])
    least = np.minimum(sizes, max(1, int(np.ceil(floor * sizes.sum() - 1e-9))))
    every, rising = np.sort(np.concatenate(falling))[::-1], [-own for own in falling]

    def counts_at(position: float) -> FloatArray:
        best = int(position * len(every))
        if best == 0:
            return np.asarray(least, dtype=np.float64)
        above = [np.searchsorted(own, -every[best - 1], side="right") for own in rising]
        return np.asarray(np.maximum(above, least), dtype=np.float64)

    return most_within(counts_at, density * sizes.sum())
