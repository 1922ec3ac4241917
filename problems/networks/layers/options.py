"""What the problems of layers can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from emoprune.plugins import naming
from emoprune.problems.networks.layers.references.catalogue import OF_BITS, OF_SHARES
from emoprune.problems.networks.layers.treatments.bits import BITS
from emoprune.problems.networks.layers.treatments.ratios import SHARES
from emoprune.problems.networks.recovery.options import RecoveryOptions
from emoprune.problems.networks.task import NetworkOptions

__all__ = ["BitWidthOptions", "LayerOptions", "WeightRatioOptions", "WeightRatioRecoveryOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions(NetworkOptions):
    """What a user would have picked, beside network, data and measures.

    Args:
        at_most: Bounds by measure, or as `bytes-share` in shares of the unpruned network.
        references: What a user would have picked without a search: methods by name, such as uniform (`emoprune list
            references`), or mappings of a name and options, as in {name: erk, percentages: [30]}.
    """

    references: Sequence[str | Mapping[str, Any]] = ("uniform",)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRatioOptions(LayerOptions):
    """Which weights of a layer can go, and what ranks them.

    Args:
        pattern: unstructured (a share of the layer), or n:m (N of every M along the incoming channels).
        shares: The shares that can stay, rising up to 1; for pattern unstructured.
        m: The M of N:M; N runs from 1 to M.
        saliency: What ranks weights; `emoprune list saliencies` names those that serve weight-ratios.
        repair: How the weights that stay make up for those that go: none, or a compensation that serves weight-ratios.
    """

    problem: ClassVar[str] = "weight-ratios"

    objectives: Sequence[str | Mapping[str, Any]] = ("error", "parameters")
    references: Sequence[str | Mapping[str, Any]] = OF_SHARES
    pattern: Literal["unstructured", "n:m"] = "unstructured"
    shares: Sequence[float] = SHARES
    m: int = 4
    saliency: str | Mapping[str, Any] = "magnitude"
    repair: str | Mapping[str, Any] = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRatioRecoveryOptions(RecoveryOptions):
    """How a network with zeros, which stay zero, is won back.

    Args:
        formats: What is written, as of an export: packed if none is named.
    """

    problem: ClassVar[str] = WeightRatioOptions.problem

    method: Annotated[str | Mapping[str, Any], naming("recovery", "weight-ratios")] = "finetune"


@dataclass(frozen=True, slots=True, kw_only=True)
class BitWidthOptions(LayerOptions):
    """With how many bits weights can be stored.

    Args:
        ignore: Patterns of layers that stay 32-bit floats.
        bits: The numbers of bits to choose from, rising; the last is 32, the floats themselves.
    """

    problem: ClassVar[str] = "bit-widths"

    objectives: Sequence[str | Mapping[str, Any]] = ("error", "bytes")
    references: Sequence[str | Mapping[str, Any]] = OF_BITS
    bits: Sequence[int] = BITS
