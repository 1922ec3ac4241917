"""Cutting labelled images into parts in which every class has its share, the same way every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import ImageData, LabelledImages

__all__ = ["SEED", "cut", "four_parts", "stratified"]

Rows = NDArray[np.int64]

SEED = 20_070  # fixes which image is in which part, for every run and every seed
TEST_SHARE = 0.2
HELD_OUT_SHARE = 0.2  # of the training images, for search and select together


def stratified(labels: NDArray[np.int64], sizes: Sequence[int], rng: np.random.Generator) -> list[Rows]:
    """Return disjoint rows for parts of exactly `sizes`, each with nearly the same share of every class.

    Args:
        labels: Shape (n,); what the sizes do not need is left out.
        sizes: At most n together.
        rng: Decides which row goes where, and in which order the rows of a part stand.

    Raises:
        ConfigError: There are too few images.
    """
    wanted = sum(sizes)
    if wanted > len(labels) or min(sizes) < 1:
        raise ConfigError(f"data: {len(labels)} images cannot be cut into parts of {list(sizes)}; give more images")
    counts = np.array([*sizes, len(labels) - wanted])
    # Each part's turns lie evenly along the images sorted by class, so every class meets all parts in proportion.
    turns = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in counts])
    part_of_turn = np.repeat(np.arange(len(counts)), counts)[np.argsort(turns, kind="stable")]
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    return [rng.permutation(by_class[part_of_turn == part]) for part in range(len(sizes))]


def cut(part: LabelledImages, sizes: Sequence[int]) -> list[LabelledImages]:
    """Return disjoint stratified parts of exactly `sizes`, always the same ones."""
    return [part.rows(rows) for rows in stratified(part.labels, sizes, np.random.default_rng(SEED))]


def four_parts(
    train: LabelledImages, val: LabelledImages | None, test: LabelledImages | None, notes: Sequence[str] = ()
) -> ImageData:
    """Return data in four parts: `val` is halved into search and select; what is missing is cut from `train`.

    A fifth of `train` becomes `test`, and a fifth of the rest becomes `val`; the notes say so.
    """
    said = list(notes)
    if test is None:
        held_out = max(2, round(TEST_SHARE * len(train)))
        said.append(f"there is no test part: {held_out} of {len(train)} training images were set aside as one")
        train, test = cut(train, (len(train) - held_out, held_out))
    if val is None:
        held_out = max(4, round(HELD_OUT_SHARE * len(train)))
        said.append(f"there is no validation part: {held_out} of {len(train)} training images were set aside as one")
        train, val = cut(train, (len(train) - held_out, held_out))
    search, select = cut(val, (len(val) - len(val) // 2, len(val) // 2))
    return ImageData(train, search, select, test, notes=tuple(said))
