"""Small instances of the problems on transformers, to try methods on: a model drawn at random, random words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from emoprune.problems.language.sample import sample_folder, sample_model, text
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.weights.bits import TransformerBitWidths
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios

__all__ = ["heads_and_neurons", "transformer_bit_widths", "transformer_weight_ratios"]


@cache
def _words() -> Path:
    path = sample_folder() / "words.txt"
    path.write_text(text(900), encoding="utf-8")
    return path


def _small(**more: Any) -> dict[str, Any]:
    windows = dict.fromkeys(("calibration", "search", "select", "test"), 6)
    return {"model": str(sample_model()), "data": str(_words()), "length": 12, **windows, **more}


def heads_and_neurons(*, compensation: Any = "least-squares", **options: Any) -> HeadsAndNeurons:
    """Return a small instance; `options` are the problem's own, `compensation` is its repair."""
    return HeadsAndNeurons(**{**_small(levels=4, references=["uniform"]), "repair": compensation, **options})


def transformer_weight_ratios(*, compensation: Any = "none", **options: Any) -> TransformerWeightRatios:
    """Return a small instance; `options` are the problem's own, `compensation` is its repair.

    One that needs a pattern gets 2 of 4.
    """
    small = _small(shares=(0.25, 0.5, 1.0), repair=compensation)
    if isinstance(compensation, Mapping) and str(compensation.get("name")).rpartition(":")[2].lower() == "armor":
        small["pattern"] = "n:m"
    return TransformerWeightRatios(**{**small, **options})


def transformer_bit_widths(**options: Any) -> TransformerBitWidths:
    """Return a small instance; `options` are the problem's own."""
    return TransformerBitWidths(**{**_small(bits=(3, 6, 32)), **options})
