"""Images as a model's own processor prepares them, instead of as each set of images comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import FloatImages, ImageData, LabelledImages

__all__ = ["TAKEN_AS_PREPARED", "Preparation", "prepared", "prepared_data"]

Number = TypeVar("Number", bound=np.generic)
# From images of shape (channels, height, width), pixels from 0 to 255, to what a model takes, of one shape.
Preparation = Callable[[Sequence[NDArray[np.generic]]], Sequence[FloatImages]]

AT_ONCE = 512
BRIGHTEST = 255
TAKEN_AS_PREPARED = (
    "pixels lie below 0, so that these images are taken as prepared; the model's own image processor is not applied to "
    "them"
)


def prepared(pixels: NDArray[Number], preparation: Preparation) -> FloatImages:
    """Return images of shape (n, channels, height, width), pixels from 0 to 255, prepared."""
    pieces = [preparation(list(pixels[start : start + AT_ONCE])) for start in range(0, len(pixels), AT_ONCE)]
    return np.stack([image for piece in pieces for image in piece]).astype(np.float32, copy=False)


def prepared_data(data: ImageData, preparation: Preparation) -> ImageData:
    """Return data whose pixels go from 0 to 1 or to 255 prepared; those with pixels below 0 as they are, with a note.

    Raises:
        ConfigError: The pixels go from 0 to something else.
    """
    lowest = min(float(part.images.min()) for part in data.parts.values())
    highest = max(float(part.images.max()) for part in data.parts.values())
    if lowest < 0:
        return replace(data, notes=(*data.notes, TAKEN_AS_PREPARED))
    if highest > 1 and not BRIGHTEST / 2 < highest <= BRIGHTEST:
        raise ConfigError(
            f"data: expected pixels from 0 to 1 or from 0 to {BRIGHTEST}, which the model's own image processor "
            f"prepares, or prepared ones, of which some are below 0; found {lowest:g} to {highest:g}. Return one of "
            "these, or own_conventions: false leaves the images as they are"
        )
    scale = np.float32(1 if highest > 1 else BRIGHTEST)

    def made(part: LabelledImages) -> LabelledImages:
        return LabelledImages(prepared(part.images * scale, preparation), part.labels)

    train, search, select, test = map(made, data.parts.values())
    return replace(data, train=train, search=search, select=select, test=test)
