"""Images from a user's own functions: as pixels from 0 to 1, and prepared already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import ImageData, LabelledImages

__all__ = ["prepared_digits", "raw_digits"]


def raw_digits() -> ImageData:
    """Return digits with pixels from 0 to 1."""
    return digits()


def prepared_digits() -> ImageData:
    """Return digits with pixels that were normalised already."""
    data = digits()
    scaled = {
        name: LabelledImages(((part.images - 0.5) / 0.15).astype(np.float32), part.labels)
        for name, part in data.parts.items()
    }
    return replace(data, **scaled)
