"""Bits per weight of transformers: how coarsely each linear layer is rounded, against quality and bytes."""

from __future__ import annotations

from typing import Any, ClassVar

from emoprune.contracts import about
from emoprune.problems.networks.layers.treatments.bits import Rounding
from emoprune.problems.networks.transformers.weights.layers import Ranks
from emoprune.problems.networks.transformers.weights.options import TransformerBitWidthOptions
from emoprune.problems.networks.transformers.weights.problem import LayerProblem

__all__ = ["TransformerBitWidths"]


@about("quantisation", ["weights"], cost="the search part once through what is new of each candidate")
class TransformerBitWidths(LayerProblem):
    """Round weights: one gene per linear layer says with how many bits each of its weights is stored.

    Round to nearest, one scale per outgoing channel; activations stay 32-bit floats, so the model runs no faster.
    """

    options: ClassVar = TransformerBitWidthOptions

    def __init__(self, **given: Any) -> None:
        own = TransformerBitWidthOptions(**given)
        super().__init__(own, Rounding.of(own.bits), "bytes")

    def ranks(self) -> Ranks:
        """Return nothing: rounding treats all weights of a layer alike."""
        return {}
