"""XGLM: an attention as usual that counts all channels of its heads."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, NEURONS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["XGLM"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class XGLM:
    """An attention as usual that counts all channels of its heads."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(traits=HeadTraits(counts=(("embed_dim", "channels"),)))

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "XGLMForCausalLM",
            "XGLMConfig",
            **TOKENS,
            d_model=HIDDEN,
            ffn_dim=NEURONS,
            num_layers=LAYERS,
            attention_heads=4,
            max_position_embeddings=64,
        )
