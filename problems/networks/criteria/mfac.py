"""Units ranked by how much a quadratic model of the loss rises when their weights go."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.filters import as_filters
from emoprune.problems.networks.calibration.inverse_fisher import blocked, check_curvature, diagonals
from emoprune.problems.networks.calibration.weight_gradients import blocks_of_gradients, gradients_of_weights
from emoprune.problems.networks.criteria.per_unit import summed_over_units

__all__ = ["MFAC"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="gradients of small batches of the calibration images, and an inverse for each block of weights",
    papers=[Paper("M-FAC: Efficient Matrix-Free Approximations of Second-Order Information", "2107.03356")],
    gradients=True,
)
class MFAC:
    """Sum over a unit's weights of w^2 / (2 [F^-1]), what each weight's removal costs in a quadratic model of the loss.

    F is the empirical Fisher matrix of `gradients` small batches plus `damping`, in blocks of weights of one filter;
    every weight costs what is left of its removal once the others of its block have moved to make up for it. All parts
    that put a unit's channels out count; biases do not.

    Source: Frantar, Kurtic and Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, arXiv
    2107.03356.

    Args:
        gradients: How many gradients make the Fisher matrix.
        block: The most weights of one block.
        damping: What is added to the Fisher matrix's diagonal.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __init__(self, *, gradients: int = 64, block: int = 128, damping: float = 1e-5) -> None:
        check_curvature(gradients, block, damping)
        self._gradients, self._block, self._damping = gradients, block, damping

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the summed costs of each unit's weights."""
        elements = {}
        parts = [part for part in evidence.structure.weighted if part.outgoing is not None and part.outgoing.varies]
        for part, gradients in gradients_of_weights(evidence, parts, self._gradients):
            inverse = diagonals(blocks_of_gradients(part, gradients, self._block), self._damping)
            weight = evidence.network.get_parameter(f"{part.path}.weight")
            filters = as_filters(part, weight).flatten(0, 1).flatten(1).numpy()
            elements[part.path] = (np.square(blocked(filters, inverse.shape[-1])) / (2 * inverse)).sum(axis=(1, 2))
        return summed_over_units(evidence.structure, elements)
