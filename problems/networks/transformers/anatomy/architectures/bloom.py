"""BLOOM: one projection as in GPT-NeoX, a slope of position for each head, and the residual added within."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["Bloom"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class Bloom:
    """Query, key and value of each head beside each other; a slope per head; the attention adds the residual itself."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm(
                "self_attention", "self_attention.dense", fused="self_attention.query_key_value", grouped=True
            ),
            HeadTraits(arguments=(("alibi", 0),), adds="residual"),
            (FeedForwardForm("mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("BloomForCausalLM", "BloomConfig", **TOKENS, hidden_size=HIDDEN, n_layer=LAYERS, n_head=4)
