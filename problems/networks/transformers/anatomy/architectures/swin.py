"""Swin: stages of layers, each with tables of position that have a column for each head."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["Swin"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="nothing is run",
)
class Swin:
    """Several stages, between which patches are merged; an attention as usual, and tables of position."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        table = ("attention.relative_position_bias.relative_position_bias_table", 1)
        return LayerForm(
            AttentionForm("attention", "attention.o_proj", "attention.q_proj", "attention.k_proj", "attention.v_proj"),
            HeadTraits(per_head=(table,)),
            several=True,
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "SwinForImageClassification",
            "SwinConfig",
            image_size=16,
            patch_size=2,
            num_channels=1,
            embed_dim=16,
            depths=[2, 1],
            num_heads=[4, 4],
            window_size=2,
            mlp_ratio=3.0,
            num_labels=10,
        )
