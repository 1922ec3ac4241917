"""Labelled images as arrays, in four parts that must not share an image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.records import Split

__all__ = ["PARTS", "FloatImages", "ImageData", "LabelledImages"]

FloatImages = NDArray[np.float32]
Labels = NDArray[np.int64]

PARTS = ("train", "search", "select", "test")


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """Images of shape (n, channels, height, width), 32-bit floats, and one label per image, counted from 0."""

    images: FloatImages
    labels: Labels

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.float32:
            raise ConfigError(
                "data: expected images of shape (n, channels, height, width) as 32-bit floats, "
                f"found {self.images.shape} {self.images.dtype}"
            )
        if len(self.images) == 0 or self.labels.shape != (len(self.images),):
            raise ConfigError(
                f"data: expected one label per image and at least one image, found {len(self.images)} images and "
                f"labels of shape {self.labels.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.min() < 0:
            raise ConfigError(
                f"data: expected labels as 64-bit integers from 0, found {self.labels.dtype}, the least "
                f"{self.labels.min()}"
            )
        if not np.isfinite(self.images).all():
            raise ConfigError("data: images hold NaN or infinities; clean them first")

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: NDArray[np.int64]) -> LabelledImages:
        """Return some of the images, in the order of `rows`."""
        return LabelledImages(self.images[rows], self.labels[rows])

    def evenly(self, count: int | None) -> LabelledImages:
        """Return at most `count` images, evenly spread over all; None returns all."""
        if count is None or count >= len(self):
            return self
        return self.rows(np.arange(count) * len(self) // count)


@dataclass(frozen=True, slots=True, eq=False)
class ImageData:
    """Four disjoint parts: `train` (weights, calibration), `search`, `select` and `test`.

    `notes` say in plain sentences what a user should know about the data, `names` what its classes are called, in the
    order of the labels, where they have names; neither is part of its digest.
    """

    train: LabelledImages
    search: LabelledImages
    select: LabelledImages
    test: LabelledImages
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    names: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        shapes = {name: part.images.shape[1:] for name, part in self.parts.items()}
        if len(set(shapes.values())) != 1:
            raise ConfigError(f"data: expected images of one shape in all parts, found {shapes}")

    @property
    def parts(self) -> Mapping[str, LabelledImages]:
        """The four parts by name, in the order they are used."""
        return {name: getattr(self, name) for name in PARTS}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image: channels, height, width."""
        return self.train.images.shape[1:]

    @property
    def highest_label(self) -> int:
        """The highest label in any part."""
        return max(int(part.labels.max()) for part in self.parts.values())

    def digest(self) -> bytes:
        """Return a digest of every image and label."""
        digest = hashlib.sha256()
        for part in self.parts.values():
            digest.update(repr(part.images.shape).encode())
            digest.update(np.ascontiguousarray(part.images).data)
            digest.update(np.ascontiguousarray(part.labels).data)
        return digest.digest()

    def part(self, split: Split) -> LabelledImages:
        """Return the part of the data that a split means."""
        return {Split.SEARCH: self.search, Split.SELECT: self.select, Split.TEST: self.test}[split]
