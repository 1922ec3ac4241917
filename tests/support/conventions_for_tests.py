"""Images from a user's own functions: as pixels from 0 to 1, and prepared already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import FloatImages, ImageData, LabelledImages

__all__ = ["bright_digits", "digits_to_16", "prepared_digits", "raw_digits"]


def raw_digits() -> ImageData:
    """Return digits with pixels from 0 to 1."""
    return digits()


def prepared_digits() -> ImageData:
    """Return digits with pixels that were normalised already."""
    return _with_pixels(lambda images: (images - 0.5) / 0.15)


def bright_digits() -> ImageData:
    """Return digits with pixels from 0 to 255."""
    return _with_pixels(lambda images: images * 255)


def digits_to_16() -> ImageData:
    """Return digits with pixels from 0 to 16."""
    return _with_pixels(lambda images: images * 16)


def _with_pixels(changed: Callable[[FloatImages], FloatImages]) -> ImageData:
    data = digits()
    parts = {
        name: LabelledImages(changed(part.images).astype(np.float32), part.labels) for name, part in data.parts.items()
    }
    return replace(data, **parts)
