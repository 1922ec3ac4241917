"""ModernBERT: queries, keys and values in one projection, what is gated and its gates in another."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn

__all__ = ["ModernBERT"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class ModernBERT:
    """Queries, keys and values one after the other in one projection; what is gated and its gates likewise."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("attn", "attn.Wo", fused="attn.Wqkv"),
            feed_forwards=(FeedForwardForm("mlp.Wo", fused="mlp.Wi", parts=("value", "gate")),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "ModernBertForSequenceClassification",
            "ModernBertConfig",
            **SIZES,
            cls_token_id=1,
            sep_token_id=2,
            global_attn_every_n_layers=2,
            local_attention=8,
        )
