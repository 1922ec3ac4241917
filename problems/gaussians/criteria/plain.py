"""Gaussians by opacity, by what they give to pixels, and at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import about
from emoprune.problems.gaussians.criteria.contract import Evidence

__all__ = ["Contribution", "Opacity", "RandomGaussians"]


@about("pruning", ["gaussians"], serves=["gaussians"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class Opacity:
    """How opaque a Gaussian is in its middle."""

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        return evidence.scene.opacities()


@about("pruning", ["gaussians"], serves=["gaussians"], cost="each view that is fitted to, drawn once")
@dataclass(frozen=True, slots=True)
class Contribution:
    """How much light a Gaussian gives to all pixels together, the mean over the views."""

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        found = np.zeros(evidence.count)
        for weights, _, order in evidence.by_view():
            found[order.numpy()] += weights.sum(dim=1).double().numpy()
        return found / len(evidence.scene.views["fit"])


@about("pruning", ["gaussians"], serves=["gaussians"], cost="nothing is run")
@dataclass(frozen=True, slots=True)
class RandomGaussians:
    """No order at all."""

    def __call__(self, evidence: Evidence) -> NDArray[np.float64]:
        """Return one score per Gaussian, shape (n,)."""
        return np.random.default_rng([evidence.seed, 11]).random(evidence.count)
