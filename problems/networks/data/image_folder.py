"""Images in folders named by class, as torchvision's ImageFolder reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import FloatImages, ImageData, LabelledImages
from emoprune.problems.networks.data.preparing import Preparation
from emoprune.problems.networks.data.splitting import SEED, four_parts, stratified

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["image_folder"]

Seen = TypeVar("Seen")
Pixels = NDArray[np.uint8]  # shape (channels, height, width)

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
_GREY = frozenset({"1", "L"})
_DEEP = ("I", "F")  # how Pillow's names for more than 8 bits per channel begin
_VALIDATION = ("val", "valid", "validation")
_SCALED = "pixels are bytes from 0 to 255 in the files and were divided by 255"


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one part and their labels."""

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]

    def at_most(self, count: int | None) -> _Files:
        """Return so many of them, with every class at its share."""
        if count is None or count >= len(self.paths):
            return self
        (rows,) = stratified(self.labels, (count,), np.random.default_rng(SEED))
        return _Files(tuple(self.paths[row] for row in rows), self.labels[rows])


def image_folder(
    folder: Path,
    image_size: int | None = None,
    images_per_part: int | None = None,
    preparation: Preparation | None = None,
) -> ImageData:
    """Return the images below `folder`, pixels from 0 to 1, labels by the sorted names of their classes.

    The layout is `folder/<class>/*.png`, or `folder/train/<class>/*.png` beside `val` and `test`; what is missing is
    cut from the training images. Images are grey if all files are, else RGB.

    Args:
        folder: Holds png, jpg or bmp files.
        image_size: Resize every image to so many pixels both ways; None takes them as they are.
        images_per_part: Read at most so many of each part that is there, with every class at its share.
        preparation: Makes of each image, of whatever size, what is returned; None divides pixels by 255.

    Raises:
        ConfigError: The layout is another one, a file cannot be read, or images differ in size.
    """
    where = _parts_of(folder)
    classes = _classes(where["train"])
    files = {name: _files(place, classes).at_most(images_per_part) for name, place in where.items()}
    grey = _check_headers(
        [path for part in files.values() for path in part.paths],
        any_size=image_size is not None or preparation is not None,
    )
    make = _divided if preparation is None else partial(_prepared, preparation)
    parts = {
        name: _read(part, partial(_pixels, grey=grey, image_size=image_size), make) for name, part in files.items()
    }
    notes = [_SCALED] if preparation is None else []
    return replace(four_parts(parts["train"], parts.get("val"), parts.get("test"), notes), names=classes)


def _parts_of(folder: Path) -> dict[str, Path]:
    if not (folder / "train").is_dir():
        return {"train": folder}
    val = next((folder / name for name in _VALIDATION if (folder / name).is_dir()), None)
    found = {"train": folder / "train", "val": val, "test": folder / "test"}
    return {name: place for name, place in found.items() if place is not None and place.is_dir()}


def _classes(folder: Path) -> tuple[str, ...]:
    found = _folders(folder)
    if len(found) < 2:
        raise ConfigError(
            f"data: {folder} holds {len(found)} folders; expected one for each of at least two classes, with png, jpg "
            "or bmp files in them"
        )
    return found


def _folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."))


def _files(folder: Path, classes: Sequence[str]) -> _Files:
    own_classes = _folders(folder)
    unknown = [name for name in own_classes if name not in classes]
    if unknown:
        raise ConfigError(f"data: {folder} has a class {unknown[0]!r} that the training images do not have")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if name not in own_classes:
            continue  # a small test part may lack a class
        own = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not own:
            raise ConfigError(f"data: {folder / name} holds no png, jpg or bmp file; remove it or fill it")
        paths += own
        labels += [label] * len(own)
    return _Files(tuple(paths), np.array(labels, dtype=np.int64))


def _check_headers(paths: Sequence[Path], *, any_size: bool) -> bool:
    """Return whether all images are grey; only the files' headers are read."""
    headers = _each(paths, lambda image: (image.size, image.mode))
    first = headers[0][0]
    for path, (size, mode) in zip(paths, headers, strict=True):
        if not any_size and size != first:
            raise ConfigError(
                f"data: images of several sizes: {paths[0]} has {first} pixels, {path} {size}; set image_size to "
                "resize all of them"
            )
        if mode.startswith(_DEEP):
            raise ConfigError(f"data: {path} has the mode {mode!r}; expected 8 bits per channel: convert it")
    return all(mode in _GREY for _, mode in headers)


def _read(
    files: _Files, seen: Callable[[Image.Image], Pixels], make: Callable[[Pixels], FloatImages]
) -> LabelledImages:
    arrays = _each(files.paths, lambda image: make(seen(image)))
    if len({array.shape for array in arrays}) > 1:
        shapes = sorted({array.shape for array in arrays})
        raise ConfigError(f"data: images of several sizes after they were prepared: {shapes}; expected one")
    return LabelledImages(np.stack(arrays), files.labels)


def _divided(pixels: Pixels) -> FloatImages:
    return np.ascontiguousarray(pixels.astype(np.float32) / np.float32(255))


def _prepared(preparation: Preparation, pixels: Pixels) -> FloatImages:
    return preparation([pixels])[0]


def _pixels(image: Image.Image, *, grey: bool, image_size: int | None) -> Pixels:
    from PIL.Image import Resampling

    plain = image.convert("L" if grey else "RGB")
    if image_size is not None:
        plain = plain.resize((image_size, image_size), Resampling.BILINEAR)
    array = np.asarray(plain, dtype=np.uint8)
    return array[np.newaxis] if grey else np.ascontiguousarray(array.transpose(2, 0, 1))


def _each(paths: Sequence[Path], look: Callable[[Image.Image], Seen]) -> list[Seen]:
    """Return what `look` sees in each file; an image is read only as far as `look` asks."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ConfigError(f"data: a folder of images needs Pillow ({error}); run `pip install pillow`") from error
    seen = []
    for path in paths:
        try:
            with Image.open(path) as image:
                seen.append(look(image))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ConfigError(f"data: {path} cannot be read as an image: {error}; remove or replace it") from error
    return seen
