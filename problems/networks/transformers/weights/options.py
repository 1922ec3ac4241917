"""What the problems on single weights of transformers can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from emoprune.plugins import naming
from emoprune.problems.networks.layers.references.catalogue import OF_BITS, OF_SHARES
from emoprune.problems.networks.layers.treatments.bits import BITS
from emoprune.problems.networks.layers.treatments.ratios import SHARES
from emoprune.problems.networks.transformers.recovery.options import TransformerRecoveryOptions
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

__all__ = [
    "TransformerBitWidthOptions",
    "TransformerWeightOptions",
    "TransformerWeightRatioOptions",
    "TransformerWeightRatioRecoveryOptions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerWeightOptions(TransformerOptions):
    """Which layers can be treated, beside model, data and measures.

    Args:
        ignore: Patterns of layers that stay as they are, as in `*.down_proj`.
        at_most: Bounds by measure, or as `bytes-share` in shares of the unpruned model.
    """

    ignore: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerWeightRatioOptions(TransformerWeightOptions):
    """Which weights of a layer can go, and what ranks them.

    Args:
        references: What a user would have picked without a search: uniform, global-magnitude, erk, balanced,
            pyramidal, pq-0_5-1, pq-1-2, or others of `emoprune list references`. Names, or mappings of a name and
            options, as in {name: erk, percentages: [30]}.
        pattern: unstructured (a share of the layer), or n:m (N of every M along the incoming channels).
        shares: The shares that can stay, rising up to 1; for pattern unstructured.
        m: The M of N:M; N runs from 1 to M.
        saliency: What ranks weights; `emoprune list saliencies` names those that serve transformer-weight-ratios.
        repair: How the weights that stay make up for those that go: none, or a compensation that serves
            transformer-weight-ratios.
    """

    problem: ClassVar[str] = "transformer-weight-ratios"

    references: Sequence[str | Mapping[str, Any]] = OF_SHARES
    pattern: Literal["unstructured", "n:m"] = "unstructured"
    shares: Sequence[float] = SHARES
    m: int = 4
    saliency: str | Mapping[str, Any] = "input-scaled"
    repair: str | Mapping[str, Any] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerWeightRatioRecoveryOptions(TransformerRecoveryOptions):
    """How a model with zeros, which stay zero, is won back."""

    problem: ClassVar[str] = TransformerWeightRatioOptions.problem

    method: Annotated[str | Mapping[str, Any], naming("recovery", "transformer-weight-ratios")] = "finetune"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerBitWidthOptions(TransformerWeightOptions):
    """With how many bits weights can be stored.

    Args:
        references: What a user would have picked without a search: uniform, largest-first, first-order, or others of
            `emoprune list references`; names, or mappings of a name and options.
        bits: The numbers of bits to choose from, rising; the last is 32, the floats themselves.
    """

    problem: ClassVar[str] = "transformer-bit-widths"

    references: Sequence[str | Mapping[str, Any]] = OF_BITS
    bits: Sequence[int] = BITS
