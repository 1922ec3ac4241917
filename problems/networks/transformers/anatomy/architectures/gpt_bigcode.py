"""GPT-BigCode (StarCoder): queries, keys and values in one projection, mostly with one key head for all."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["GPTBigCode"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GPTBigCode:
    """One key and value head for all queries, or keys and values beside each head's queries, in one projection."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        counts = (("embed_dim", "channels"), ("kv_heads", "key_value_heads"), ("kv_dim", "key_channels"))
        return LayerForm(
            AttentionForm("attn", "attn.c_proj", fused="attn.c_attn", grouped=not config.multi_query),
            HeadTraits(counts=counts),
            (FeedForwardForm("mlp.c_proj", ("mlp.c_fc",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "GPTBigCodeForCausalLM",
            "GPTBigCodeConfig",
            **TOKENS,
            n_embd=HIDDEN,
            n_layer=LAYERS,
            n_head=4,
            n_positions=64,
            multi_query=True,
        )
