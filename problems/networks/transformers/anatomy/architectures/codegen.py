"""CodeGen: queries, values and keys in one projection, cut into shards that each have a share of the heads."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["CodeGen"]

SHARDS = 4  # on as many devices it was trained


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class CodeGen:
    """Queries, values and keys of a fourth of the heads one after the other, then those of the next fourth."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm(
                "attn",
                "attn.out_proj",
                fused="attn.qkv_proj",
                parts=("query", "value", "key"),
                shards=SHARDS,
                settings=(("mp_num", 1),),
            ),
            HeadTraits(counts=(("embed_dim", "channels"),)),
            (FeedForwardForm("mlp.fc_out", ("mlp.fc_in",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        sizes = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 8, "n_ctx": 64, "n_positions": 64}
        return drawn("CodeGenForCausalLM", "CodeGenConfig", **TOKENS, **sizes, rotary_dim=4)
