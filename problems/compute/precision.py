"""What `auto` comes to as the precision to compute in: bfloat16 where it changes no prediction and is faster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PrecisionChoice", "chosen_precision"]


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The precision, why, and what was found.

    `differing` of `predictions` were other ones in bfloat16; `speedup` is how many times faster it was, by the
    processor's time. Both are 0 where nothing was tried.
    """

    precision: Literal["float32", "bfloat16"]
    reason: str
    predictions: int = 0
    differing: int = 0
    speedup: float = 0.0


def chosen_precision(predictions: int, differing: int, speedup: float) -> PrecisionChoice:
    """Return the choice between the two from what was found, as `PrecisionChoice` has it."""
    if differing:
        reason = f"bfloat16 changes {differing} of {predictions:,} predictions"
        return PrecisionChoice("float32", reason, predictions, differing, speedup)
    if speedup <= 1:
        reason = f"bfloat16 is not faster here: {speedup:.2f} times as fast as float32"
        return PrecisionChoice("float32", reason, predictions, differing, speedup)
    reason = f"bfloat16 changes none of {predictions:,} predictions and is {speedup:.2f} times as fast"
    return PrecisionChoice("bfloat16", reason, predictions, differing, speedup)
