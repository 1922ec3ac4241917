"""DeBERTa: one projection as in GPT-NeoX with biases beside it, and projections of positions."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["DeBERTa"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class DeBERTa:
    """Query, key and value of each head beside each other in one projection, their biases and positions beside it."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        if getattr(config, "talking_head", False):
            raise ConfigError("model: its attention mixes heads (talking_head), so that none of them can go")
        kinds = {"c2p": ("attention.self.pos_proj", "key"), "p2c": ("attention.self.pos_q_proj", "query")}
        asked = config.pos_att_type or () if getattr(config, "relative_attention", False) else ()
        positions = tuple(own for kind, own in kinds.items() if kind in asked)
        biases = (("attention.self.q_bias", "query"), ("attention.self.v_bias", "value"))
        return LayerForm(
            AttentionForm("attention.self", "attention.output.dense", fused="attention.self.in_proj", grouped=True),
            HeadTraits(alike=(*biases, *positions)),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "DebertaForSequenceClassification",
            "DebertaConfig",
            **SIZES,
            relative_attention=True,
            pos_att_type=["c2p", "p2c"],
            max_position_embeddings=64,
        )
