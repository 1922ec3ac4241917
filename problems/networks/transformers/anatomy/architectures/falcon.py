"""Falcon: queries beside the key and value that they share, or one key and value behind all queries."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["Falcon"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class Falcon:
    """The queries of each key head with it and its value in one projection; in some, a slope of position per head."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        slopes = (("alibi", 0), ("attention_mask", 1)) if config.alibi else ()
        return LayerForm(
            AttentionForm(
                "self_attention", "self_attention.dense", fused="self_attention.query_key_value", grouped=True
            ),
            HeadTraits(arguments=slopes),
            (FeedForwardForm("mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "FalconForCausalLM",
            "FalconConfig",
            **TOKENS,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            num_kv_heads=2,
            new_decoder_architecture=True,
        )
