"""Images in the IDX format of MNIST and Fashion-MNIST: four files in a folder, gzipped or not."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.data.preparing import Preparation
from emoprune.problems.networks.data.scaling import padded, scaled_pixels
from emoprune.problems.networks.data.splitting import SEED, stratified

__all__ = ["IDX_FILES", "holds_idx", "idx_data"]

Bytes = NDArray[np.uint8]

_UNSIGNED_BYTES = 8  # IDX's code for the type of the numbers
_HELD_OUT = 24  # one image in so many of the official training part is searched on, and another chosen on


@dataclass(frozen=True, slots=True)
class _Names:
    """What the two files of an official part are called."""

    images: str
    labels: str


_TRAIN = _Names("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_TEST = _Names("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_FILES = (_TRAIN.images, _TRAIN.labels, _TEST.images, _TEST.labels)


def holds_idx(folder: Path) -> bool:
    """Whether the four files lie in the folder."""
    return all(_existing(folder, name) is not None for name in IDX_FILES)


def idx_data(folder: Path, image_size: int | None = None, preparation: Preparation | None = None) -> ImageData:
    """Return the images in a folder of four IDX files, scaled to mean 0 and variance 1 over the training part.

    With a `preparation` they are as that makes them.

    Of the official training part of 60,000 images, 2,500 are searched on, 2,500 chosen on and 50,000 trained on; of
    another size, the same shares. The official test part is the test part.

    Raises:
        ConfigError: A file is missing or damaged, or `image_size` is smaller than the images.
    """
    images, labels = _part(folder, _TRAIN)
    test_images, test_labels = _part(folder, _TEST)
    if images.shape[1:] != test_images.shape[1:]:
        raise ConfigError(f"data: {folder}: training and test images have different sizes")
    held_out = max(1, len(labels) // _HELD_OUT)
    trained = max(1, len(labels) * 5 // 6)
    parts = stratified(labels, (trained, held_out, held_out), np.random.default_rng(SEED))
    pixels = padded(np.concatenate([images, test_images]), image_size)
    official_test = np.arange(len(labels), len(pixels))
    scaled, all_labels = scaled_pixels(pixels, parts[0], preparation), np.concatenate([labels, test_labels])
    return ImageData(*(LabelledImages(scaled[rows], all_labels[rows]) for rows in (*parts, official_test)))


def _part(folder: Path, names: _Names) -> tuple[Bytes, NDArray[np.int64]]:
    images, labels = _read(folder, names.images, 3), _read(folder, names.labels, 1)
    if len(images) != len(labels):
        raise ConfigError(f"data: {folder}: {names.images} has {len(images)} images, but {len(labels)} labels")
    return images, labels.astype(np.int64)


def _existing(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _read(folder: Path, name: str, rank: int) -> Bytes:
    path = _existing(folder, name)
    if path is None:
        raise ConfigError(f"data: {folder} lacks {name}.gz; expected {', '.join(IDX_FILES)}, gzipped or not")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"data: {path} cannot be read: {error}; install or download it again") from error
    header = 4 * (1 + rank)
    if len(content) < header or content[:4] != bytes((0, 0, _UNSIGNED_BYTES, rank)):
        raise ConfigError(f"data: {path} is not an IDX file of unsigned bytes in {rank} dimensions")
    shape = tuple(np.frombuffer(content, ">u4", rank, offset=4).tolist())
    numbers = np.frombuffer(content, np.uint8, offset=header)
    if len(numbers) != int(np.prod(shape)):
        raise ConfigError(f"data: {path} promises {shape} numbers, found {len(numbers)}; install or download it again")
    return numbers.reshape(shape)
