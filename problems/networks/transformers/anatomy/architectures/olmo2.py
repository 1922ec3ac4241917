"""OLMo 2 and 3: norms of queries and of keys over all heads together."""

from __future__ import annotations

from typing import Any

from emoprune.contracts import about
from emoprune.problems.networks.transformers.anatomy.description import LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["Olmo2"]


@about(
    "pruning",
    ["heads", "neurons"],
    serves=["heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths"],
    cost="nothing is run",
)
class Olmo2:
    """A norm over all heads together, so that the projections before it stay whole and heads are chosen behind it."""

    def layer(self, _config: Any) -> LayerForm:
        """Return how a layer is made."""
        norms = (("self_attn.q_norm", "query"), ("self_attn.k_norm", "key"))
        return LayerForm(traits=HeadTraits(joint_norms=norms))

    def tiny(self) -> Any:
        """Return a small model with drawn weights."""
        return drawn("Olmo2ForCausalLM", "Olmo2Config", **SIZES, num_key_value_heads=2)
