"""gpt-oss: a sink for each head; its mixture is unfused as others are."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["GptOss"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class GptOss:
    """An attention as usual with a learnt sink for each head; experts that clamp their gates and values."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        return LayerForm(traits=HeadTraits(per_head=(("self_attn.sinks", 0),)), clamped=True)

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn(
            "GptOssForCausalLM",
            "GptOssConfig",
            **SIZES,
            num_key_value_heads=2,
            head_dim=8,
            num_local_experts=4,
            num_experts_per_tok=2,
        )
