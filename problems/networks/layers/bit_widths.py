"""Bits per weight of any network: how coarsely each layer is rounded, against error and bytes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from emoprune.contracts import about
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.layers.options import BitWidthOptions
from emoprune.problems.networks.layers.problem import Layerwise
from emoprune.problems.networks.layers.treatments.bits import Rounding

__all__ = ["BitWidths"]


def _unscored(_evidence: Evidence) -> dict[str, torch.Tensor]:
    """Return no scores: rounding treats all weights of a layer alike."""
    return {}


@about(
    "quantisation", ["layers"], cost="one pass over the calibration images and one over those of the search each time"
)
class BitWidths(Layerwise):
    """Round weights: one gene per layer says with how many bits each of its weights is stored.

    Round to nearest, one scale per outgoing channel; activations stay 32-bit floats, so the network runs no faster.
    Batch-norm statistics are estimated anew before a network is scored; no weight is trained. There is no recovery:
    training weights that are rounded needs gradients through the rounding, which is not part of this problem.
    """

    options: ClassVar[type[BitWidthOptions]] = BitWidthOptions

    def __init__(self, **given: Any) -> None:
        own = BitWidthOptions(**given)
        super().__init__(own, Rounding.of(own.bits), "none", _unscored)
