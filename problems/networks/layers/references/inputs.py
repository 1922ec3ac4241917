"""What a method may look at to pick the levels of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.problems.networks.layers.treatments.levels import LayerLevels
from emoprune.problems.networks.recovery.rounds.training import Training
from emoprune.space import IntArray, Space

__all__ = ["LayerReferenceInputs", "Sizes", "Tensors"]

Tensors = Mapping[str, torch.Tensor]
Sizes = list[NDArray[np.floating[Any]]]  # by layer the magnitudes of its weights, the largest first, shape (weights,)


@dataclass(frozen=True, slots=True, eq=False)
class LayerReferenceInputs:
    """Layers, the levels that each of them can take, and their weights: what a reference method is given.

    Attributes:
        levels: The layers, and what is left of each at its levels.
        weights: The unpruned weights by the layer's path, on the CPU; they stay as they are.
        gradients: Returns those of the loss on the calibration images, in the weights' shapes; computed when asked for.
        falling: Returns the magnitudes of each layer's weights, the largest first; sorted when asked for, and once.
        rng: Where all randomness comes from.
        training: What copies of the network can be trained on; None where the problem trains none.
    """

    levels: LayerLevels
    weights: Tensors
    gradients: Callable[[], Tensors]
    falling: Callable[[], Sizes]
    rng: np.random.Generator
    training: Training | None = None

    @classmethod
    def of(
        cls, levels: LayerLevels, weights: Tensors, gradients: Callable[[], Tensors], rng: np.random.Generator
    ) -> LayerReferenceInputs:
        """Return what methods are given; gradients are computed at most once, however many ask for them."""

        def falling() -> Sizes:
            return [np.sort(np.abs(weights[part.path].numpy()), axis=None)[::-1] for part in levels.parts]

        return cls(levels, weights, cache(gradients), cache(falling), rng)

    @property
    def space(self) -> Space:
        """One ordered gene per layer: the levels that it can take, the strongest treatment first."""
        return self.levels.space

    @property
    def unpruned(self) -> IntArray:
        """The genome of the unpruned network, shape (layers,)."""
        return self.levels.space.full
