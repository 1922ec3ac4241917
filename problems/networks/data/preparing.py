"""Images as a model's own processor prepares them, instead of as each set of images comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.problems.networks.data.images import FloatImages, ImageData, LabelledImages

__all__ = ["TAKEN_AS_PREPARED", "Preparation", "prepared", "prepared_data"]

Number = TypeVar("Number", bound=np.generic)
# From images of shape (channels, height, width), pixels from 0 to 255, to what a model takes, of one shape.
Preparation = Callable[[Sequence[NDArray[np.generic]]], Sequence[FloatImages]]

AT_ONCE = 512
TAKEN_AS_PREPARED = (
    "pixels lie outside of 0 to 1, so that these images are taken as prepared; the model's own image processor is not "
    "applied to them"
)


def prepared(pixels: NDArray[Number], preparation: Preparation) -> FloatImages:
    """Return images of shape (n, channels, height, width), pixels from 0 to 255, prepared."""
    pieces = [preparation(list(pixels[start : start + AT_ONCE])) for start in range(0, len(pixels), AT_ONCE)]
    return np.stack([image for piece in pieces for image in piece]).astype(np.float32, copy=False)


def prepared_data(data: ImageData, preparation: Preparation) -> ImageData:
    """Return data whose pixels go from 0 to 1 prepared, and other data as they are, with a note that says it."""
    if any(part.images.min() < 0 or part.images.max() > 1 for part in data.parts.values()):
        return replace(data, notes=(*data.notes, TAKEN_AS_PREPARED))

    def made(part: LabelledImages) -> LabelledImages:
        return LabelledImages(prepared(part.images * np.float32(255), preparation), part.labels)

    train, search, select, test = map(made, data.parts.values())
    return replace(data, train=train, search=search, select=select, test=test)
