"""A small instance of the problem of channel widths, on which methods are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.unpruned.built_in.sample import SAMPLE, beside

__all__ = ["sample"]


def sample(objectives: Sequence[str | Mapping[str, Any]] = (), **options: Any) -> Channels:
    """Return a problem of three coupling groups; error and macs are measured beside other `objectives`."""
    small = {**SAMPLE, "widths": 4, "criterion": "l1", "references": ["uniform"], "objectives": beside(objectives)}
    return Channels(**{**small, **options})
