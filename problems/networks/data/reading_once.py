"""One part of a user's data, in whatever form torch's users keep it, read once into arrays."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.arrays import as_array, from_arrays
from emoprune.problems.networks.data.images import LabelledImages

__all__ = ["read_part"]

Part = tuple[LabelledImages, tuple[str, ...]]


def read_part(given: object, name: str, limit: int | None) -> Part:
    """Return a part of the data and notes on what was changed in it.

    Args:
        given: `LabelledImages`, a `DataLoader` of (images, labels), a `Dataset` of (image, label), or a pair of
            arrays or tensors.
        name: What messages call the part.
        limit: Keep at most so many images: the first of a loader, an even spread of all others.

    Raises:
        ConfigError: It is none of these, or what it yields cannot be used.
    """
    if isinstance(given, LabelledImages):
        return given.evenly(limit), ()
    if isinstance(given, DataLoader):
        return _from_loader(given, name, limit)
    if isinstance(given, IterableDataset):
        return _from_items(islice(iter(given), limit), name)
    if isinstance(given, Dataset):
        return _from_dataset(given, name, limit)
    if isinstance(given, tuple | list) and len(given) == 2:
        part, notes = from_arrays(given[0], given[1], name)
        return part.evenly(limit), notes
    raise ConfigError(
        f"data: {name}: expected a torch DataLoader or Dataset, a pair (images, labels) of tensors or arrays, or "
        f"LabelledImages, found {type(given).__name__}"
    )


def _from_loader(loader: Iterable[object], name: str, limit: int | None) -> Part:
    images, labels, count = [], [], 0
    for batch in loader:
        first, second = _pair(batch, name)
        images.append(as_array(first, f"the images of {name}"))
        labels.append(np.atleast_1d(as_array(second, f"the labels of {name}")))
        count += len(labels[-1])
        if limit is not None and count >= limit:
            break
    _check_shapes([array.shape[1:] for array in images], name)
    return from_arrays(np.concatenate(images)[:limit], np.concatenate(labels)[:limit], name)


def _from_dataset(dataset: Dataset[object], name: str, limit: int | None) -> Part:
    if not hasattr(dataset, "__len__"):
        raise ConfigError(f"data: {name}: {type(dataset).__name__} has no length; add __len__, or give a DataLoader")
    total = len(dataset)
    count = total if limit is None else min(limit, total)
    return _from_items((dataset[row * total // count] for row in range(count)), name)


def _from_items(items: Iterable[object], name: str) -> Part:
    images, labels = [], []
    for item in items:
        image, label = _pair(item, name)
        images.append(_image(image, name))
        labels.append(_label(label, name))
    _check_shapes([array.shape for array in images], name)
    return from_arrays(np.stack(images), np.array(labels), name)


def _pair(item: object, name: str) -> tuple[object, object]:
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    found = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list | dict) else type(item).__name__
    raise ConfigError(f"data: {name}: expected pairs of images and labels, found a {found}")


def _image(image: object, name: str) -> NDArray[Any]:
    if isinstance(image, torch.Tensor | np.ndarray) or not hasattr(image, "__array_interface__"):
        return as_array(image, f"each image of {name}")
    # Pillow's images offer themselves as arrays of bytes, always with their channels last.
    pixels = np.array(image)
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels


def _label(label: object, name: str) -> int:
    number = label.item() if isinstance(label, torch.Tensor | np.generic) and np.ndim(label) == 0 else label
    if isinstance(number, bool) or not isinstance(number, int):
        raise ConfigError(
            f"data: {name}: expected each label as a whole number, found {type(number).__name__} {str(number)[:40]!r}; "
            "give the index of the class, counted from 0"
        )
    return number


def _check_shapes(shapes: list[tuple[int, ...]], name: str) -> None:
    if not shapes:
        raise ConfigError(f"data: {name} yields no image at all; was a loader used up before?")
    other = next((position for position, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise ConfigError(
            f"data: {name}: images of several sizes: number 0 has shape {shapes[0]}, number {other} {shapes[other]}; "
            "resize them to one size"
        )
