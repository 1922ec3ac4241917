"""ALBERT: one layer that runs many times with the same weights."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.anatomy.description import FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["ALBERT"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class ALBERT:
    """All layers share their weights, so that they are pruned as one."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        if config.num_hidden_groups != 1 or config.inner_group_num != 1:
            raise ConfigError(
                f"model: expected one layer whose weights all layers share, found {config.num_hidden_groups} groups of "
                f"{config.inner_group_num}"
            )
        layer = "albert_layers.0"
        return LayerForm(
            traits=HeadTraits(norm="LayerNorm"),
            feed_forwards=(FeedForwardForm(f"{layer}.ffn_output", (f"{layer}.ffn",)),),
            times=config.num_hidden_layers,
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("AlbertForSequenceClassification", "AlbertConfig", **SIZES, embedding_size=16)
