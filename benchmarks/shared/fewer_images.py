"""Fashion-MNIST with fewer images to score, so that many seeds of searches fit into an hour; for import targets."""

from __future__ import annotations

from emoprune.problems.networks.data.images import ImageData, LabelledImages
from emoprune.problems.networks.unpruned.by_name import data_named
from emoprune.records import Split

__all__ = ["fashion_1000"]


def fashion_1000() -> ImageData:
    """Return all training images, 1,000 to search and 1,000 to select on, and 4,000 to report on."""
    whole = data_named("fashion")
    return ImageData(
        whole.train,
        _first(whole.part(Split.SEARCH), 1000),
        _first(whole.part(Split.SELECT), 1000),
        _first(whole.part(Split.TEST), 4000),
    )


def _first(part: LabelledImages, count: int) -> LabelledImages:
    return LabelledImages(part.images[:count], part.labels[:count])
