"""Small instances of the problems of layers, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.problems.networks.layers.bit_widths import BitWidths
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE, beside

__all__ = ["bit_widths", "weight_ratios"]


def weight_ratios(
    objectives: Sequence[str | Mapping[str, Any]] = (), *, compensation: Any = "none", **options: Any
) -> WeightRatios:
    """Return a problem of four layers; error and macs are measured beside other `objectives`.

    `compensation` is its repair; one that needs a pattern gets 2 of 4.
    """
    small = {**SAMPLE, "shares": (0.25, 0.5, 1.0), "references": ["uniform"], "objectives": beside(objectives)}
    small["repair"] = compensation
    if isinstance(compensation, Mapping) and str(compensation.get("name")).rpartition(":")[2].lower() == "armor":
        small["pattern"] = "n:m"
    return WeightRatios(**{**small, **options})


def bit_widths(objectives: Sequence[str | Mapping[str, Any]] = (), **options: Any) -> BitWidths:
    """Return a problem of four layers; error and macs are measured beside other `objectives`."""
    small = {**SAMPLE, "bits": (3, 6, 32), "references": ["uniform"], "objectives": beside(objectives)}
    return BitWidths(**{**small, **options})
