"""T5: an encoder, and a decoder that attends to it; one table of position biases for each of both."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, NEURONS, TOKENS, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["T5"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="nothing is run",
)
class T5:
    """Two stacks; each layer gets a table of position biases of its own, so that it can have other heads."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        path, table = "layer.0.SelfAttention", "relative_attention_bias"
        return LayerForm(
            AttentionForm(path, f"{path}.o", f"{path}.q", f"{path}.k", f"{path}.v"),
            HeadTraits(
                per_head=((f"{path}.{table}.weight", 1),),
                counts=(("inner_dim", "channels"),),
                answers=3,
                table=table,
            ),
            several=True,
            crossing="layer.1.EncDecAttention.o",
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "T5ForSequenceClassification",
            "T5Config",
            **TOKENS,
            d_model=HIDDEN,
            d_kv=8,
            d_ff=NEURONS,
            num_layers=LAYERS,
            num_heads=4,
            feed_forward_proj="gated-gelu",
            decoder_start_token_id=3,
        )
