"""BART and its kin: an encoder, and a decoder that attends to it."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import HIDDEN, LAYERS, NEURONS, TOKENS, drawn

__all__ = ["BART"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="nothing is run",
)
class BART:
    """Two stacks of layers with attentions as usual; the decoder's attention to the encoder stays whole."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(
            AttentionForm(
                "self_attn", "self_attn.out_proj", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"
            ),
            several=True,
            crossing="encoder_attn.out_proj",
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "BartModel",
            "BartConfig",
            **TOKENS,
            d_model=HIDDEN,
            encoder_layers=LAYERS,
            decoder_layers=LAYERS,
            encoder_ffn_dim=NEURONS,
            decoder_ffn_dim=NEURONS,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            max_position_embeddings=64,
            decoder_start_token_id=2,
            forced_eos_token_id=2,
        )
