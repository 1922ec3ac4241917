"""Phi-3 and Phi-4: queries, keys and values in one projection, gates and values in another."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["Phi3"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class Phi3:
    """Queries, keys and values one after the other in one projection; gates and values likewise."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("self_attn", "self_attn.o_proj", fused="self_attn.qkv_proj"),
            HeadTraits(counts=(("config.num_attention_heads", "heads"),)),
            (FeedForwardForm("mlp.down_proj", fused="mlp.gate_up_proj"),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("Phi3ForCausalLM", "Phi3Config", **SIZES, num_key_value_heads=2)
