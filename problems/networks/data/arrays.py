"""Images and labels, as tensors or arrays of many kinds, into one kind: 32-bit floats, channels first."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import LabelledImages

__all__ = ["as_array", "from_arrays"]

_CHANNELS = (1, 3, 4)
_DIVIDED = "pixels came as bytes from 0 to 255 and were divided by 255"
_TURNED = "images came with their channels last, which were moved to the front"


def from_arrays(images: object, labels: object, name: str) -> tuple[LabelledImages, tuple[str, ...]]:
    """Return one part of the data, and notes on what was changed.

    Args:
        images: Tensor or array of shape (n, channels, height, width), (n, height, width, channels) or
            (n, height, width); floats as they are, bytes divided by 255.
        labels: Shape (n,), whole numbers from 0.
        name: What messages call the part.

    Raises:
        ConfigError: They are of another kind or shape, or hold NaN.
    """
    pixels, numbers = as_array(images, f"the images of {name}"), as_array(labels, f"the labels of {name}")
    _check_labels(numbers, len(pixels) if pixels.ndim else 0, name)
    pixels, turned = _channels_first(pixels, name)
    floats, divided = _as_floats(pixels, name)
    try:
        part = LabelledImages(np.ascontiguousarray(floats), numbers.astype(np.int64))
    except ConfigError as error:
        raise ConfigError(f"data: {name}: {str(error).removeprefix('data: ')}") from error
    return part, tuple(note for note in (turned, divided) if note)


def as_array(given: object, what: str) -> NDArray[Any]:
    """Return a tensor or a NumPy array as an array.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(given, torch.Tensor):
        tensor = given.detach().cpu()
        return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())
    if isinstance(given, np.ndarray):
        return given
    raise ConfigError(f"data: expected {what} as a torch tensor or a NumPy array, found {type(given).__name__}")


def _check_labels(labels: NDArray[Any], count: int, name: str) -> None:
    if labels.dtype.kind not in "iu":
        raise ConfigError(
            f"data: {name}: expected whole numbers as labels, found {labels.dtype}; give each image the index of its "
            "class, counted from 0"
        )
    if labels.shape != (count,):
        raise ConfigError(
            f"data: {name}: expected one label for each of {count} images, shape ({count},), found {labels.shape}"
            f"{'; turn one-hot rows into indices with argmax' if labels.ndim == 2 else ''}"
        )
    if count and labels.min() < 0:
        raise ConfigError(f"data: {name}: expected labels from 0, found {labels.min()}; count the classes from 0")


def _channels_first(images: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    if images.ndim == 3:
        return images[:, np.newaxis], ""
    if images.ndim != 4:
        raise ConfigError(
            f"data: {name}: expected images of shape (n, channels, height, width), found {images.shape}; they can also "
            "be (n, height, width) or (n, height, width, channels)"
        )
    if images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS:
        return images.transpose(0, 3, 1, 2), _TURNED
    return images, ""


def _as_floats(images: NDArray[Any], name: str) -> tuple[NDArray[np.float32], str]:
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255), _DIVIDED
    if images.dtype.kind != "f":
        raise ConfigError(
            f"data: {name}: expected images as floats, or as bytes (uint8), found {images.dtype}; convert them"
        )
    with np.errstate(over="ignore"):  # what is too large for 32 bits becomes infinite and is refused as such
        return images.astype(np.float32), ""
