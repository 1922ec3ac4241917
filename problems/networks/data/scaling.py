"""Pixels into floats: of mean 0 and variance 1 over the training images, and padded to another size."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.preparing import Preparation, prepared

__all__ = ["padded", "scaled_pixels", "standardised"]

Pixels = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


def padded(pixels: NDArray[Number], side: int | None) -> NDArray[Number]:
    """Return images of shape (n, height, width) with a black border around them up to `side`; None leaves them.

    Raises:
        ConfigError: They are larger than that.
    """
    if side is None:
        return pixels
    height, width = pixels.shape[1:]
    if side < max(height, width):
        raise ConfigError(f"image_size: expected at least {max(height, width)} for these images, found {side}")
    top, left = (side - height) // 2, (side - width) // 2
    return np.pad(pixels, ((0, 0), (top, side - height - top), (left, side - width - left)))


def scaled_pixels(pixels: Pixels, train: NDArray[np.int64], preparation: Preparation | None) -> NDArray[np.float32]:
    """Return grey images of shape (n, height, width) as a preparation makes them, without one `standardised`."""
    return standardised(pixels, train) if preparation is None else prepared(pixels[:, np.newaxis], preparation)


def standardised(pixels: Pixels, train: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return grey images of shape (n, 1, height, width) with mean 0 and variance 1 over the rows in `train`.

    Raises:
        ConfigError: All pixels of those rows are equal.
    """
    # How often each of the 256 values occurs gives the same constants on every machine, at any number of threads.
    counts, values = np.bincount(pixels[train].ravel(), minlength=256), np.arange(256)
    total = int(counts.sum())
    mean = int((counts * values).sum()) / total
    variance = int((counts * values**2).sum()) / total - mean**2
    if variance <= 0:
        raise ConfigError("data: all pixels of the training images are equal; expected pictures")
    table = ((values - mean) / variance**0.5).astype(np.float32)
    scaled: NDArray[np.float32] = table[pixels][:, np.newaxis]
    return scaled
