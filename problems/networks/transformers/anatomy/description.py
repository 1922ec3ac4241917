"""What an architecture says of its layers: how the linear layers are called that hold heads and neurons.

An architecture is a plug-in of the group `emoprune.architectures`, its entry point called by the `model_type` that
stands in a model's config.json. Models whose attention has linear layers of its own for query, key and value, under a
usual name, need none: `finding.py` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from emoprune.problems.networks.transformers.anatomy.structure import HeadTraits

__all__ = ["ARCHITECTURES", "Architecture", "AttentionForm", "FeedForwardForm", "LayerForm"]

ARCHITECTURES = "architecture"  # the kind of plug-in
QUERY_KEY_VALUE = ("query", "key", "value")


@dataclass(frozen=True, slots=True)
class AttentionForm:
    """Where an attention keeps its projections, all paths within the layer.

    Attributes:
        path: The attention's module.
        output: Its output projection.
        query: The linear layer of that name; likewise `key` and `value`. Not said where they are `fused`.
        fused: The one linear layer that puts out queries, keys and values.
        parts: What it puts out, in this order.
        grouped: Whether these lie together for each key head (its queries, its key, its value), as in GPT-NeoX, and not
            one after the other for all heads, as in GPT-2.
        shards: How many shares of the heads lie one after the other, each with its `parts`; opened they are one.
        settings: Attributes of the attention's module that say how its parts lie, and their values once it is opened.
    """

    path: str
    output: str
    query: str = ""
    key: str = ""
    value: str = ""
    fused: str = ""
    parts: tuple[str, ...] = QUERY_KEY_VALUE
    grouped: bool = False
    shards: int = 1
    settings: tuple[tuple[str, int], ...] = ()

    def projection(self, part: str) -> str:
        """Return where the linear layer for `query`, `key` or `value` is, once a fused one is opened."""
        named = {"query": self.query, "key": self.key, "value": self.value}[part]
        return f"{self.fused}.{part}" if self.fused else named


@dataclass(frozen=True, slots=True)
class FeedForwardForm:
    """Where a feed-forward network keeps its projections, all paths within the layer.

    Attributes:
        output: What takes the neurons in.
        inputs: What puts them out; not said where one `fused` layer does the work of two.
        fused: The linear layer that puts out `parts`, one after the other.
        parts: Names for them.
    """

    output: str
    inputs: tuple[str, ...] = ()
    fused: str = ""
    parts: tuple[str, ...] = ("gate", "up")

    @property
    def projections(self) -> tuple[str, ...]:
        """Where the linear layers are that put neurons out, once a fused one is opened."""
        return tuple(f"{self.fused}.{part}" for part in self.parts) if self.fused else self.inputs


@dataclass(frozen=True, slots=True)
class LayerForm:
    """What of a layer is not found by itself.

    Attributes:
        attention: None where its projections have usual names.
        traits: What else goes with its heads.
        feed_forwards: None where their linear layers have usual names.
        times: How often the layers run one after the other with the same weights.
        several: Whether a model may have several stacks of such layers, as an encoder and a decoder or stages.
        crossing: The output projection of a cross-attention in the layer, which stays whole.
        clamped: Whether the experts of its mixture have biases, and clamp their gates and values.
    """

    attention: AttentionForm | None = None
    traits: HeadTraits = field(default_factory=HeadTraits)
    feed_forwards: tuple[FeedForwardForm, ...] = ()
    times: int = 1
    several: bool = False
    crossing: str = ""
    clamped: bool = False


class Architecture(Protocol):
    """Models of one kind. A class without options; what makes it known is the name of its entry point."""

    def layer(self, config: Any, /) -> LayerForm:
        """Return how the layers of a model with this config are made.

        Raises:
            ConfigError: Models with this config cannot be pruned; it says why.
        """
        ...

    def tiny(self) -> Any:
        """Return a small model with drawn weights, of at least 2 layers and 4 heads, to try the description on."""
        ...
