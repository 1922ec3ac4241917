"""ModernBERT's decoders: an attention as usual, what is gated and its gates in one projection."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn

__all__ = ["ModernBERTDecoder"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class ModernBERTDecoder:
    """An attention as usual under names of its own; what is gated and its gates one after the other in a projection."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("attn", "attn.Wo", "attn.q_proj", "attn.k_proj", "attn.v_proj"),
            feed_forwards=(FeedForwardForm("mlp.Wo", fused="mlp.Wi", parts=("value", "gate")),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "ModernBertDecoderForCausalLM",
            "ModernBertDecoderConfig",
            **SIZES,
            cls_token_id=1,
            sep_token_id=2,
            global_attn_every_n_layers=2,
            local_attention=8,
        )
