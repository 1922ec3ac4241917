"""What holding a front against fine-tuned networks can be told."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FineTunedOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTunedOptions:
    """How networks are fine-tuned, which ones beside the candidates, and whether shapes are trained from scratch.

    Args:
        epochs: How long each network is fine-tuned.
        repeats: How often, with other seeds; fewer than 3 say little about the noise of training.
        rate: The highest learning rate of fine-tuning.
        batch: Images per step.
        training_images: At most so many are trained on; null takes all.
        bands: At how many costs along the front networks of random widths are held against a candidate.
        siblings: How many of them at each cost; 0 leaves them out.
        scratch: Also train shapes of the front from scratch, which takes many times as long.
        scratch_points: How many shapes, the front's ends among them.
        scratch_epochs: How long from scratch; null takes what the unpruned network was trained for here, or 30.
        scratch_rate: The highest learning rate from scratch.
        scratch_cap: At equal compute a small shape is trained at most so many times longer.
    """

    epochs: float = 3.0
    repeats: int = 3
    rate: float = 0.02
    batch: int = 64
    training_images: int | None = 5000
    bands: int = 2
    siblings: int = 6
    scratch: bool = False
    scratch_points: int = 3
    scratch_epochs: float | None = None
    scratch_rate: float = 0.1
    scratch_cap: float = 8.0
