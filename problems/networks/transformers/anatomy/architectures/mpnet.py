"""MPNet: a bias of position for each head, given to all layers."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["MPNet"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class MPNet:
    """An attention under names of its own; a bias of position per head."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm(
                "attention.attn", "attention.attn.o", "attention.attn.q", "attention.attn.k", "attention.attn.v"
            ),
            HeadTraits(arguments=(("position_bias", 1),)),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("MPNetForSequenceClassification", "MPNetConfig", **SIZES)
