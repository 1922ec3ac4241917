"""Handwritten digits: 1,797 scans of 8 x 8 pixels that come with scikit-learn, so nothing is downloaded."""

from __future__ import annotations

import numpy as np

from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.data.preparing import Preparation, prepared
from emoprune.problems.networks.data.scaling import padded

__all__ = ["digits"]

_SHUFFLE = 20_070  # fixes which scan is in which part, for every run and every seed
_ENDS = np.array([597, 1197, 1447])  # train 597, search 600, select 250, test 350


def digits(image_size: int | None = None, preparation: Preparation | None = None) -> ImageData:
    """Return the digits in four parts, always the same ones, with pixels from 0 to 1, or as `preparation` makes them.

    A larger `image_size` adds a black border.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998; the
    part of it that scikit-learn ships.

    Raises:
        ConfigError: `image_size` is smaller than the images.
    """
    from sklearn.datasets import load_digits  # most networks are traced and run without scikit-learn

    bunch = load_digits()
    images = (padded(bunch.images, image_size) / 16.0).astype(np.float32)[:, np.newaxis]
    if preparation is not None:
        images = prepared(images * np.float32(255), preparation)
    labels = bunch.target.astype(np.int64)
    parts = np.split(np.random.default_rng(_SHUFFLE).permutation(len(labels)), _ENDS)
    train, search, select, test = (LabelledImages(images[rows], labels[rows]) for rows in parts)
    return ImageData(train, search, select, test)
