"""What an audit of a front of channel widths is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.quality import ERROR, Quality
from emoprune.problems.networks.evaluation.runner import Runner
from emoprune.space import IntArray

__all__ = ["ChannelFront"]


@dataclass(frozen=True, slots=True, eq=False)
class ChannelFront:
    """Candidates along a front of channel widths, and all that is needed to look behind them.

    Attributes:
        widths: Of the candidates, along the front, without the unpruned network; shape (n, groups), in units.
        scores: The criterion's, one array per coupling group, shape (units,).
        slicer_of: Returns what cuts networks out by some scores: `lambda scores: Slicer(bench, scores, ...)`.
        bench: Network and images.
        runner: Scores as the search does.
        training: The training part of the data.
        table: The rising widths that each coupling group may take.
        seed: All randomness comes from it.
        quality: What says how good a network is: a measure with its name and its direction.
        epochs: How long the unpruned network was trained here; None where it came with its weights.
        criterion: What ranked the units.
    """

    widths: IntArray
    scores: Sequence[Scores]
    slicer_of: Callable[[Sequence[Scores]], Slicer]
    bench: Bench
    runner: Runner
    training: LabelledImages
    table: Sequence[IntArray]
    seed: int
    quality: Quality = ERROR
    epochs: float | None = None
    criterion: Callable[[Evidence], Sequence[Scores]] | None = None
