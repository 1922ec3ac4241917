"""How sharply the loss bends around a network."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Direction, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.hessian import top_eigenvalue
from emoprune.problems.networks.evaluation.objectives.contract import CONVOLUTIONAL, Needs, Seen
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["Flatness"]


@about(
    "measurement",
    ["network"],
    serves=CONVOLUTIONAL,
    cost="`iterations` passes over some calibration images, each once forwards and twice backwards",
    papers=[
        Paper(
            "Neuron-based Pruning of Deep Neural Networks with Better Generalization using Kronecker Factored "
            "Curvature Approximation",
            "2111.08577",
        )
    ],
    gradients=True,
)
class Flatness:
    """Top eigenvalue of the Hessian of the calibration loss by the weights: the lower, the flatter.

    By power iteration on products of the Hessian with vectors, without the paper's factors. It is not the same for
    networks that differ by a rescaling of layers around a ReLU, so compare networks that were pruned from one. Source:
    Ebrahimi and Klabjan, Neuron-based Pruning of Deep Neural Networks with Better Generalization using Kronecker
    Factored Curvature Approximation, arXiv 2111.08577, which prunes by it while it trains.

    Args:
        images: Of the calibration images at most.
        iterations: At most.
        tolerance: Ends the iteration once the eigenvalue changes by a smaller share.
    """

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "network"

    def __init__(self, images: int = 64, iterations: int = 30, tolerance: float = 1e-3) -> None:
        if images < 1 or iterations < 1 or not 0 <= tolerance < 1:
            raise ConfigError("flatness: expected images and iterations of 1 or more and a tolerance from 0 to below 1")
        self._images, self._iterations, self._tolerance = images, iterations, tolerance

    def __call__(self, seen: Seen) -> float:
        """Return the eigenvalue."""
        own, left = [], self._images
        for batch in seen.members.batches:
            own.append(batch[:left])
            left -= len(own[-1])
            if left == 0:
                break
        images = LoadedImages(tuple(own), seen.members.labels[: sum(map(len, own))])
        return top_eigenvalue(seen.network, images, self._iterations, self._tolerance)
