"""Image classification, opened: a vision transformer, and images as its own processor prepares them."""

from __future__ import annotations

from typing import Any

import torch

from emoprune.errors import ConfigError
from emoprune.problems.language.image_processors import image_processor_of
from emoprune.problems.language.loading import config_of
from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.data.preparing import TAKEN_AS_PREPARED
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch
from emoprune.problems.networks.transformers.data.pixels import ProcessedImages
from emoprune.problems.networks.transformers.tasks.heads import classifier_of, opened_classifier
from emoprune.problems.networks.transformers.tasks.labels import Classes
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.unpruned.by_name import data_named

__all__ = ["opened_images", "other_images"]

AT_ONCE = 32  # images in a batch


def opened_images(options: TransformerOptions) -> Opened:
    """Return the task of telling images apart.

    Raises:
        ConfigError: The model or the images cannot be used; it says why.
    """
    if not isinstance(options.data, str):
        raise ConfigError("data: expected the name of one set of images, found several")
    config = config_of(options.model)
    data = _images(options, config, options.data)
    found = classifier_of(options, "image-classifier", _words(data))
    parts = {part: _batches(own, found.classes) for part, own in data.parts.items()}
    parts[CALIBRATION] = _batches(data.train.evenly(options.calibration), found.classes)
    notes = [f"{options.data}: {note}." for note in data.notes if note == TAKEN_AS_PREPARED]
    return opened_classifier(options, found, parts, _patches(config, data), notes)


def other_images(opened: Opened, options: TransformerOptions, name: str) -> tuple[Batch, ...]:
    """Return the test images of another set, whose classes are numbered or named as those of the task.

    Raises:
        ConfigError: There is no such set of images, or it has other classes.
    """
    data, classes = _images(options, opened.loaded.model.config, name), opened.classes
    words = _words(data)
    if classes is None or not set(words) <= set(classes.words):
        known = [] if classes is None else list(classes.words)
        raise ConfigError(f"data: {name!r} has classes {list(words)}, expected some of {known}")
    return _batches(data.test, classes.of_words(words))


def _images(options: TransformerOptions, config: Any, name: str) -> ImageData:
    """Return a set of images as the model's processor prepares them, if it has one."""
    processor = image_processor_of(options.model) if options.own_conventions else None
    channels, size = int(getattr(config, "num_channels", 3)), _size(config)
    prepare = None if processor is None else ProcessedImages(processor, channels)
    own_size = ":" in name or size is None or (prepare is not None and prepare.resizes)
    data = data_named(name, image_size=None if own_size else size, preparation=prepare)
    if size is not None and data.input_shape[1:] != (size, size):
        raise ConfigError(f"data: expected images of {size} pixels both ways, found {data.input_shape}")
    if data.input_shape[0] != channels:
        raise ConfigError(f"data: expected images of {channels} channels, found {data.input_shape[0]}")
    return data


def _size(config: Any) -> int | None:
    """Return how many pixels a model takes both ways; None where it takes any number.

    Raises:
        ConfigError: It takes images that are no squares.
    """
    size = getattr(config, "image_size", None)
    sides = {size} if isinstance(size, int | None) else set(size)
    if len(sides) != 1:
        raise ConfigError(f"model: expected images as high as wide, found image_size {size} in its config.json")
    return sides.pop()


def _patches(config: Any, data: ImageData) -> int:
    """Return how many patches an image has, and one more for its class."""
    size = getattr(config, "patch_size", 1)
    return (data.input_shape[1] // int(size if isinstance(size, int) else size[0])) ** 2 + 1


def _words(data: ImageData) -> tuple[str, ...]:
    """Return what the data call their classes: the folders' names, or the labels' numbers."""
    return data.names or tuple(str(number) for number in range(data.highest_label + 1))


def _batches(part: LabelledImages, classes: Classes) -> tuple[Batch, ...]:
    images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(classes.numbered(part.labels))
    pieces = zip(torch.split(images, AT_ONCE), torch.split(labels, AT_ONCE), strict=True)
    return tuple(Batch({"pixel_values": own}, truth) for own, truth in pieces)
