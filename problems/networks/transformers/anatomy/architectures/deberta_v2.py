"""DeBERTa v2 and v3: an attention under names of its own, perhaps with projections of positions."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["DebertaV2"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class DebertaV2:
    """Queries, keys and values project positions as well, or further projections do."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        kinds = {"c2p": ("attention.self.pos_key_proj", "key"), "p2c": ("attention.self.pos_query_proj", "query")}
        apart = getattr(config, "relative_attention", False) and not getattr(config, "share_att_key", False)
        asked = config.pos_att_type or () if apart else ()
        return LayerForm(
            AttentionForm(
                "attention.self",
                "attention.output.dense",
                "attention.self.query_proj",
                "attention.self.key_proj",
                "attention.self.value_proj",
            ),
            HeadTraits(alike=tuple(own for kind, own in kinds.items() if kind in asked)),
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "DebertaV2ForSequenceClassification",
            "DebertaV2Config",
            **SIZES,
            relative_attention=True,
            pos_att_type=["p2c", "c2p"],
            max_position_embeddings=64,
            position_buckets=8,
            norm_rel_ebd="layer_norm",
            share_att_key=True,
        )
