"""MPT: queries, keys and values one after the other in one projection, and a slope of position for each head."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["MPT"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class MPT:
    """Queries, keys and values one after the other in one projection; a slope of position per head."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("attn", "attn.out_proj", fused="attn.Wqkv"), HeadTraits(arguments=(("position_bias", 0),))
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "MptForCausalLM", "MptConfig", **TOKENS, d_model=HIDDEN, n_layers=LAYERS, n_heads=4, max_seq_len=64
        )
