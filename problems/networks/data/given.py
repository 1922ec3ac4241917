"""What a user's data function returns, into four parts: by name, by position, or ready-made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import PARTS, ImageData, LabelledImages
from emoprune.problems.networks.data.reading_once import read_part
from emoprune.problems.networks.data.splitting import four_parts

__all__ = ["at_most", "given_data"]

_BY_COUNT = {2: ("train", "test"), 3: ("train", "val", "test"), 4: PARTS}
_SYNONYMS = {"valid": "val", "validation": "val"}
_EXPECTED = (
    "an ImageData; a mapping with train, search, select and test, or train, val and test, or train and test; or a "
    "tuple of these in this order"
)


def given_data(made: object, target: str, images_per_part: int | None = None) -> ImageData:
    """Return a user's data in four parts; validation images are halved into search and select.

    Args:
        made: An `ImageData`, or a mapping or tuple of parts, each a `Dataset`, a `DataLoader`, or a pair of images and
            labels.
        target: What messages call it.
        images_per_part: Keep at most so many images of each part.

    Raises:
        ConfigError: It is none of these, or a part of it cannot be used.
    """
    if isinstance(made, ImageData):
        return at_most(made, images_per_part)
    parts: dict[str, LabelledImages] = {}
    notes: list[str] = []
    for name, given in _named(made, target).items():
        parts[name], said = read_part(given, name, images_per_part)
        notes += [note for note in said if note not in notes]
    if parts.keys() == set(PARTS):
        return ImageData(*(parts[name] for name in PARTS), notes=tuple(notes))
    return four_parts(parts["train"], parts.get("val"), parts.get("test"), notes)


def at_most(data: ImageData, images_per_part: int | None) -> ImageData:
    """Return the data with at most so many images in each part, evenly spread over it."""
    train, search, select, test = (part.evenly(images_per_part) for part in data.parts.values())
    return replace(data, train=train, search=search, select=select, test=test)


def _named(made: object, target: str) -> dict[str, object]:
    if isinstance(made, tuple | list) and len(made) in _BY_COUNT:
        return dict(zip(_BY_COUNT[len(made)], made, strict=True))
    if not isinstance(made, Mapping):
        found = f"{type(made).__name__} of {len(made)}" if isinstance(made, tuple | list) else type(made).__name__
        raise ConfigError(f"data: expected {target!r} to return {_EXPECTED}; found a {found}")
    named = {_SYNONYMS.get(str(name), str(name)): given for name, given in made.items()}
    allowed = {"train", "val", "test"}
    if named.keys() != set(PARTS) and not ("train" in named and named.keys() <= allowed):
        raise ConfigError(
            f"data: expected {target!r} to return {_EXPECTED}; found a mapping with {sorted(map(str, made))}"
        )
    return named
