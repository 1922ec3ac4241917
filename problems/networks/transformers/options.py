"""What the problem of heads and neurons can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.genes import Form
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

__all__ = ["NONE", "HeadsAndNeuronsOptions"]

NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsAndNeuronsOptions(TransformerOptions):
    """What can go of each layer, which units stay, and how the rest is repaired.

    Args:
        references: What a user would have picked without a search: uniform, global-criterion, global-magnitude,
            greedy-heads, dropped-layers, random, or others of `emoprune list references`.
        calibration_data: Another text to calibrate on; None takes windows of `data` that are measured nowhere.
        genes: levels (how many heads and neurons of each layer stay) or bits (which ones), for small models.
        levels: How many counts of heads, and of neurons, each layer can take, evenly spread from none to all.
        round_to: Counts of neurons are multiples of this many, or all; 8, 16 or 32 suits most hardware.
        smallest: No layer that stays keeps less than this share of its heads or neurons.
        drop_layers: Whether whole layers can go.
        bits: Numbers of bits that each layer's weights can be rounded to, rising up to 32; none leaves them floats.
        criterion: What ranks units; `emoprune list criteria` names those that serve heads-and-neurons.
        repair: How the weights that stay make up for those that go: least-squares fits the output projections of each
            narrowed layer to the unpruned ones; none, or another that `emoprune list compensations` names.
        percentages: Of the counted objective, at which the references are made.

    Raises:
        ConfigError: A percentage is none, or as for every transformer.
    """

    problem: ClassVar[str] = "heads-and-neurons"

    references: Sequence[str | Mapping[str, Any]] = (
        *("uniform", "global-criterion", "global-magnitude", "greedy-heads", "dropped-layers", "random"),
    )
    cache_megabytes: int = 512
    calibration_data: str | None = None
    genes: Form = "levels"
    levels: int = 16
    round_to: int = 1
    smallest: float = 0.0
    drop_layers: bool = True
    bits: Sequence[int] = ()
    criterion: str | Mapping[str, Any] = "heapr"
    repair: str | Mapping[str, Any] = "least-squares"
    percentages: Sequence[int] = (90, 80, 70, 50)

    def __post_init__(self) -> None:
        TransformerOptions.__post_init__(self)
        if any(not 0 < percentage < 100 for percentage in self.percentages):
            raise ConfigError(f"percentages: expected whole numbers from 1 to 99, found {list(self.percentages)}")

    @property
    def calibrated_on(self) -> str | None:
        """Another text that scores and repairs are computed on; None for windows of the data itself."""
        return self.calibration_data
