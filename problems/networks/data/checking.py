"""Data checked before anything is trained or measured on it: enough images and classes, nothing in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import ImageData, LabelledImages

__all__ = ["checked", "shared_images"]

FEWEST = 2  # batch norm needs two images to estimate a variance
SHARED_AT_MOST = 0.01  # of the smaller of two parts: real data hold a few images twice


def checked(data: ImageData) -> ImageData:
    """Return the data, with a note for each two parts that share a few images.

    Raises:
        ConfigError: A part has fewer than two images or only one class, or two parts share more than 1 % of the
            images of the smaller one.
    """
    for name, part in data.parts.items():
        _check_part(name, part)
    return replace(data, notes=(*data.notes, *_overlaps(data)))


def _check_part(name: str, part: LabelledImages) -> None:
    if len(part) < FEWEST:
        raise ConfigError(
            f"data: the {name} part has {len(part)} image; expected at least {FEWEST}, because batch-norm statistics "
            "need a batch: give more images, or a larger images_per_part"
        )
    classes = np.unique(part.labels)
    if len(classes) == 1:
        raise ConfigError(
            f"data: all {len(part)} images of the {name} part have the label {classes[0]}; expected at least two "
            "classes in every part, or every network looks equally good: cut the parts anew, with all classes in each"
        )


def _overlaps(data: ImageData) -> Iterator[str]:
    for (first, second), shared in shared_images(data).items():
        smaller = min(len(data.parts[first]), len(data.parts[second]))
        if shared > SHARED_AT_MOST * smaller:
            raise ConfigError(
                f"data: the parts {first} and {second} share {shared} identical images, {shared / smaller:.1%} of the "
                f"smaller one (allowed: {SHARED_AT_MOST:.0%}); numbers measured on them would flatter every network: "
                "remove the images from one of the parts"
            )
        if shared:
            images = "1 image occurs" if shared == 1 else f"{shared} images occur"
            yield f"{images} to the pixel in both {first} and {second} ({shared / smaller:.2%} of the smaller part)"


def shared_images(data: ImageData) -> dict[tuple[str, str], int]:
    """Return for each two parts how many different images occur, to the last bit, in both."""
    hashes = {name: _hashes(part) for name, part in data.parts.items()}
    return {(a, b): len(hashes[a] & hashes[b]) for a, b in combinations(hashes, 2)}


def _hashes(part: LabelledImages) -> set[bytes]:
    return {hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in part.images}
