"""Running candidates layer by layer: what neighbours have in common runs once, with the same results to the bit."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch
from torch import nn

from emoprune.problems.networks.evaluation.reuse.cache import GDSFCache, LRUCache
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.running.passing import Calls, calls_of

__all__ = ["Runner"]

STATIONS = 10  # places in a model after which hidden states are kept
BLOCKS_SHARE = 4  # one part in so many of the cache is for narrowed layers


class Runner:
    """Puts batches through the narrowed layers of candidates.

    Args:
        narrower: Cuts the layers.
        parts: The batches by part, on their device.
        cache_bytes: How much memory kept hidden states and narrowed layers may take together.
    """

    def __init__(self, narrower: Narrower, parts: Mapping[str, Sequence[Batch]], cache_bytes: int) -> None:
        self._narrower = narrower
        self._parts = parts
        self._calls: dict[str, list[Calls]] = {}
        own = cache_bytes // BLOCKS_SHARE
        self._blocks = LRUCache[nn.Module](own)
        self._hidden = GDSFCache[list[torch.Tensor]](cache_bytes - own)
        # In deep models not after every layer: the cache then reaches back to more candidates.
        self._every = max(1, len(narrower.anatomy.blocks) // STATIONS)
        self.layers_run = 0
        self.layers_asked = 0

    def batches(self, part: str) -> Sequence[Batch]:
        """Return the batches of a part."""
        return self._parts[part]

    def hidden(self, plans: Sequence[BlockPlan], part: str) -> list[torch.Tensor]:
        """Return the last layer's hidden states of every batch, with what the plans keep of each layer.

        Of a model in several stacks these are its outputs: what one stack is called with depends on another.
        """
        if self._narrower.anatomy.several:
            return self._outputs(plans, part)
        steps = list(self._steps(plans, part))
        self.layers_asked += len(steps)
        states, begin = self._known(steps, part)
        for place, (key, number, plan) in enumerate(steps[begin:], start=begin + 1):
            block = self._block(number, plan)
            with torch.no_grad():
                states = [calls.run(number, block, own) for calls, own in zip(self._called(part), states, strict=True)]
            self.layers_run += 1
            if place % self._every == 0:
                size = sum(own.untyped_storage().nbytes() for own in states)
                self._hidden.put(key, states, size, float(size))  # layers before it apart, all are as much work
        return states

    def _outputs(self, plans: Sequence[BlockPlan], part: str) -> list[torch.Tensor]:
        kept = [number for number, plan in enumerate(plans) if plan.kept]
        model = self._narrower.with_blocks([self._block(number, plans[number]) for number in kept], kept)
        self.layers_asked += len(kept)
        self.layers_run += len(kept)
        with torch.no_grad():
            return [first_output(model(**batch.inputs)) for batch in self._parts[part]]

    def _steps(self, plans: Sequence[BlockPlan], part: str) -> Iterator[tuple[Hashable, int, BlockPlan]]:
        """Yield each layer that runs, with a key for all that has run up to it; a dropped one leaves no trace."""
        key: tuple[Hashable, ...] = (part,)
        for number, plan in enumerate(plans):
            if plan.kept:
                key = (*key, number, plan.key)
                yield key, number, plan

    def _known(self, steps: Sequence[tuple[Hashable, int, BlockPlan]], part: str) -> tuple[list[torch.Tensor], int]:
        """Return the hidden states after as many layers as are kept, and how many that are."""
        for key, _, _ in steps:  # all on the way count as used: neighbours will need them, though this one does not
            self._hidden.touch(key)
        for done in range(len(steps), 0, -1):
            found = self._hidden.get(steps[done - 1][0])
            if found is not None:
                return found, done
        return [calls.hidden for calls in self._called(part)], 0

    def _called(self, part: str) -> list[Calls]:
        if part not in self._calls:
            self._calls[part] = [calls_of(self._narrower, batch.inputs) for batch in self._parts[part]]
        return self._calls[part]

    def _block(self, number: int, plan: BlockPlan) -> nn.Module:
        known = self._blocks.get((number, plan.key))
        if known is not None:
            return known
        made = self._narrower.block(number, plan)
        shared = {id(own) for own in self._narrower.model.parameters()}
        size = sum(own.numel() * own.element_size() for own in made.parameters() if id(own) not in shared)
        self._blocks.put((number, plan.key), made, size)
        return made
