"""Gaussians by how many pixels they dominate for the tiles that they touch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.problems.gaussians.criteria.contract import Evidence

__all__ = ["METASAPIENS", "ComputationalEfficiency", "Dominance", "LightPerTile"]

METASAPIENS = Paper(
    "RTGS: Enabling Real-Time Gaussian Splatting on Mobile Devices Using Efficiency-Guided Pruning and Foveated "
    "Rendering",
    "2407.00435",
)
FEW = 1e-7  # of a tile


def _largest(evidence: Evidence, *, by_tile: bool) -> NDArray[np.float64]:
    """Return the largest number of pixels that each Gaussian dominates in a view, or that number for each tile."""
    found = np.zeros(evidence.count)
    for weights, tiles, order in evidence.by_view():
        if len(order) == 0:
            continue
        gives = weights.amax(dim=0) > 0
        dominant = weights.argmax(dim=0)[gives]
        pixels = np.bincount(dominant.numpy(), minlength=len(order)).astype(np.float64)
        touched = tiles.double().numpy()
        scores = np.where(touched > 0, pixels / (touched + FEW), 0.0) if by_tile else pixels
        np.maximum.at(found, order.numpy(), scores)
    return found


@about(
    "pruning", ["gaussians"], serves=["gaussians"], cost="each view that is fitted to, drawn once", papers=[METASAPIENS]
)
@dataclass(frozen=True, slots=True)
class ComputationalEfficiency:
    """Pixels of which a Gaussian gives the largest part, for each tile that it touches; the largest over the views.

    What is hidden behind others dominates nothing, and goes first.
    """

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        return _largest(evidence, by_tile=True)


@about(
    "pruning", ["gaussians"], serves=["gaussians"], cost="each view that is fitted to, drawn once", papers=[METASAPIENS]
)
@dataclass(frozen=True, slots=True)
class Dominance:
    """Pixels of which a Gaussian gives the largest part, whatever tiles it touches."""

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        return _largest(evidence, by_tile=False)


@about("pruning", ["gaussians"], serves=["gaussians"], cost="each view that is fitted to, drawn once")
@dataclass(frozen=True, slots=True)
class LightPerTile:
    """All the light that a Gaussian gives, for each tile that it touches; the mean over the views.

    It is the computational efficiency without a winner in each pixel, so that Gaussians which are second everywhere
    count as well.
    """

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        found = np.zeros(evidence.count)
        for weights, tiles, order in evidence.by_view():
            light, touched = weights.sum(dim=1).double().numpy(), tiles.double().numpy()
            found[order.numpy()] += np.where(touched > 0, light / (touched + FEW), 0.0)
        return found / len(evidence.scene.views["fit"])
