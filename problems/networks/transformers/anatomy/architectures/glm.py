"""GLM and GLM-4: an attention as usual, gates and values in one projection."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn

__all__ = ["GLM"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GLM:
    """Gates and values one after the other in one projection."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(feed_forwards=(FeedForwardForm("mlp.down_proj", fused="mlp.gate_up_proj"),))

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("Glm4ForCausalLM", "Glm4Config", **SIZES, num_key_value_heads=2, head_dim=8)
