"""Examples of a part of the data in blocks that are alike, so that scores have standard errors, and grades of these."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Link
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["MOST", "Averages", "ImageBlocks", "grades_of"]

MOST = 16  # blocks: Student's quantile hardly falls any more with more of them
TOGETHER = 4  # blocks that run as one batch; also of the first grade, where the quantile has fallen steeply already
FEWEST_IMAGES = 4  # of a block


def grades_of(blocks: int) -> tuple[int, ...]:
    """Return after how many blocks of a search part it is asked who goes on: a quarter, half and all of 16."""
    return tuple(sorted({grade for grade in (blocks // 4, blocks // 2) if grade >= TOGETHER} | {blocks}))


@dataclass(frozen=True, slots=True, eq=False)
class ImageBlocks:
    """Which of `MOST` blocks each image belongs to, shape (images,): classes have the same shares in all of them.

    Blocks run `TOGETHER`, in pieces, always the same images in a batch: what is measured of a block depends on nothing
    else.
    """

    of_image: IntArray

    @classmethod
    def of(cls, labels: IntArray) -> ImageBlocks | None:
        """Deal images with labels of shape (n,) out to blocks; None if they are too few."""
        if len(labels) < FEWEST_IMAGES * MOST:
            return None
        shuffled = np.random.default_rng(0).permutation(len(labels))  # who labelled them may have gone in some order
        by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
        blocks = np.empty(len(labels), dtype=np.int64)
        blocks[by_class] = np.arange(len(labels)) % MOST
        return cls(blocks)

    @property
    def sizes(self) -> IntArray:
        """How many images each block has, shape (blocks,)."""
        return np.bincount(self.of_image, minlength=MOST)

    def pieces(self, blocks: range) -> Iterator[tuple[int, range]]:
        """Yield the pieces that some blocks lie in, each with those of its blocks that are asked for."""
        for piece in range(blocks.start // TOGETHER, -(-blocks.stop // TOGETHER)):
            begin, end = piece * TOGETHER, (piece + 1) * TOGETHER
            yield piece, range(max(begin, blocks.start), min(end, blocks.stop))

    def rows(self, piece: int) -> IntArray:
        """Return the images of a piece, in order, shape (n,)."""
        return np.flatnonzero(self.of_image // TOGETHER == piece)

    def means(self, piece: int, values: torch.Tensor, blocks: range) -> NDArray[np.float64]:
        """Return the means over blocks of what was measured of each image of their piece, shape (blocks,)."""
        own = self.of_image[self.rows(piece)]
        sums = np.bincount(own, weights=values.double().cpu().numpy(), minlength=MOST)
        return np.asarray((sums / self.sizes)[blocks.start : blocks.stop])


@dataclass(frozen=True, slots=True, eq=False)
class Averages:
    """Which scores of a problem follow from means over images, by name, and how, and the blocks of each part.

    Both are empty where a problem is measured in full.
    """

    links: Mapping[str, Link]
    blocks: Mapping[Split, ImageBlocks]

    @classmethod
    def of(cls, links: Mapping[str, Link], labels: Mapping[Split, IntArray]) -> Averages:
        """Deal images with these labels by part out to blocks, if anything is averaged and no part is too small."""
        dealt = {split: ImageBlocks.of(own) for split, own in labels.items()}
        blocks = {split: own for split, own in dealt.items() if own is not None}
        return cls(links, blocks) if links and len(blocks) == len(dealt) else cls({}, {})

    def only(self, names: Collection[str]) -> Averages:
        """Return this for a problem that has some of the scores."""
        links = {name: link for name, link in self.links.items() if name in names}
        return Averages(links, self.blocks if links else {})
