"""Batches of a part in blocks, each a part by itself: what is measured of it depends on nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emoprune.contracts import Link
from emoprune.problems.networks.evaluation.blocks import MOST
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.contract import Task
from emoprune.records import Split

__all__ = ["BatchBlocks", "part_of"]

FEWEST = 2  # blocks, of which alone a standard error can be had


@dataclass(frozen=True, slots=True, eq=False)
class BatchBlocks:
    """Which scores of a problem follow from means over examples, and how, and the batches of each part's blocks.

    Both are empty where a problem is measured in full.
    """

    links: Mapping[str, Link]
    batches: Mapping[Split, Sequence[range]]

    @classmethod
    def of(cls, task: Task, measures: Measures) -> BatchBlocks:
        """Deal the batches of each part out to at most `MOST` blocks, if anything is averaged and all have several."""
        links = measures.averaged(task.scored)
        dealt = {split: _ranges(len(task.parts[split.value])) for split in Split}
        enough = all(len(own) >= FEWEST for own in dealt.values())
        return cls(links, dealt) if links and enough else cls({}, {})

    def sizes(self, task: Task, split: Split) -> list[float]:
        """Return over how many examples, or tokens, each block's means are taken."""
        batches = task.parts[split.value]
        return [float(sum(task.numbers(batches[row]) for row in own)) for own in self.batches[split]]

    def parts(self, measured: Mapping[str, Sequence[Batch]]) -> dict[str, Sequence[Batch]]:
        """Return the batches of every block of every part, by the name that the block has as a part."""
        return {
            part_of(split, block): measured[split.value][own.start : own.stop : own.step]
            for split, ranges in self.batches.items()
            for block, own in enumerate(ranges)
        }


def part_of(split: Split, block: int) -> str:
    """Return what a block is called as a part."""
    return f"{split.value}/{block}"


def _ranges(batches: int) -> list[range]:
    """Return which batches each block has: they come by length, so that a block has every so manyth of them.

    Blocks stand in such an order that the first few have short and long ones as all of them do.
    """
    blocks = min(MOST, batches)
    spread = sorted(range(blocks), key=lambda block: f"{block:0{MOST.bit_length()}b}"[::-1])
    return [range(first, batches, blocks) for first in spread]
