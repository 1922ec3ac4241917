"""GPT-NeoX and Pythia: each head has its query, key and value beside each other in one projection."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn

__all__ = ["GPTNeoX"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GPTNeoX:
    """Query, key and value of each head beside each other in one projection."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm("attention", "attention.dense", fused="attention.query_key_value", grouped=True),
            feed_forwards=(FeedForwardForm("mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("GPTNeoXForCausalLM", "GPTNeoXConfig", **SIZES)
