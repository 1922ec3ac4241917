"""GPT-J: an attention as usual, and a feed-forward network under names of its own."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, TOKENS, drawn

__all__ = ["GPTJ"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GPTJ:
    """Neurons between fc_in and fc_out."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(feed_forwards=(FeedForwardForm("mlp.fc_out", ("mlp.fc_in",)),))

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("GPTJForCausalLM", "GPTJConfig", **TOKENS, n_embd=HIDDEN, n_layer=LAYERS, n_head=4, rotary_dim=4)
