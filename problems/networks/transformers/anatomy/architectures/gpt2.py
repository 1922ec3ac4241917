"""GPT-2: its projections are transposed, and queries, keys and values in one."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["GPT2"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GPT2:
    """Queries, keys and values one after the other in one transposed projection."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("attn", "attn.c_proj", fused="attn.c_attn"),
            HeadTraits(counts=(("split_size", "channels"),)),
            (FeedForwardForm("mlp.c_proj", ("mlp.c_fc",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("GPT2LMHeadModel", "GPT2Config", **TOKENS, n_embd=HIDDEN, n_layer=LAYERS, n_head=4, n_positions=64)
