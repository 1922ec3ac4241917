"""BEiT: a bias of position for each head, in every layer or given to all."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["BEiT"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class BEiT:
    """An attention as usual; tables of position with a column for each head."""

    def layer(self, config: Any) -> LayerForm:
        """Return how a layer is made."""
        table = ("relative_position_bias.relative_position_bias_table", 1)
        return LayerForm(
            traits=HeadTraits(
                per_head=(table,) if config.use_relative_position_bias else (),
                arguments=(("attention_mask", 1),) if config.use_shared_relative_position_bias else (),
            )
        )

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "BeitForImageClassification",
            "BeitConfig",
            **{name: size for name, size in SIZES.items() if name != "vocab_size"},
            image_size=16,
            patch_size=4,
            num_channels=1,
            use_relative_position_bias=True,
        )
