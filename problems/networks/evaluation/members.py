"""Images that a network was trained on, sure to be none of those that it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = ["digests", "members_of"]


@lru_cache(maxsize=4)
def members_of(bench: Bench) -> LoadedImages:
    """Return the calibration images, which are of the training part.

    Raises:
        ConfigError: Some of them are among the images of another part, pixel by pixel.
    """
    members = set(digests(bench.calibration))
    for split, images in bench.images.items():
        shared = sum(digest in members for digest in digests(images))
        if shared:
            raise ConfigError(
                f"data: {shared} of the images of {split.value} are training images, too, so that members cannot be "
                "told from non-members; take them out of one of the parts"
            )
    return bench.calibration


def digests(images: LoadedImages) -> Iterator[bytes]:
    """Return a digest of each image's pixels."""
    for batch in images.batches:
        for image in batch.detach().cpu().contiguous():
            yield hashlib.blake2b(image.reshape(-1).view(torch.uint8).numpy().tobytes(), digest_size=16).digest()
