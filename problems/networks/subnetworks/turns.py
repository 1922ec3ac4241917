"""A candidate's parts trained: whose turn it is, behind which pruned parts, towards which features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.pruned_module import with_tensors
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.subnetworks.chain import Chain, CutPoint
from emoprune.problems.networks.subnetworks.division import SubNetwork
from emoprune.problems.networks.subnetworks.training import Constraint, Held, Order, Turn, constrained
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.variant import Variant
from emoprune.space import IntArray

__all__ = ["Turns"]


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """The turns of the parts that follow each other; what crosses the cuts is trained with them."""

    task: NetworkTask
    chain: Chain
    parts: Sequence[SubNetwork]
    loaded: Loaded
    slicer: Slicer

    @property
    def _chained(self) -> list[SubNetwork]:
        return [part for part in self.parts if part.chained]

    def of(self, kept: Kept, order: Order) -> list[Turn]:
        """Return a turn for each part of the network with these units, or one for all of them together."""
        each = [self._turn(number, kept) for number in range(len(self._chained))]
        if order != "together":
            return each
        modules = tuple(path for turn in each for path in turn.modules)
        return [Turn("all parts", modules, each[-1].base, tuple(held for turn in each for held in turn.held))]

    def trained(self, kept: Kept, plan: Plan, constraint: Constraint, seed: int) -> nn.Module:
        """Return the network with these units, each part trained in its turn, its statistics estimated anew.

        Args:
            kept: The units of each coupling group that stay.
            plan: How all of it is trained, and how long; its epochs are split evenly among the turns.
            constraint: How much the unpruned part's features count, and in which order the parts have their turns.
            seed: Fixes the order of the images and how they are varied.
        """
        turns = self.of(kept, constraint.order)
        each = replace(plan, epochs=plan.epochs / len(turns))
        training = TrainingImages.load(self.task.data.train, self.loaded.bench.device)
        tensors = constrained(turns, self.loaded.bench, training, each, constraint, seed=seed)
        network = with_tensors(self.slicer.variant_of(kept).network, tensors)
        mark = object()  # of this network alone, whatever was trained before it
        return self.loaded.runner.settled(Variant(network, dict.fromkeys(self.chain.called, mark))).network

    def _turn(self, number: int, kept: Kept) -> Turn:
        """Return a part's turn: it and those before it pruned, those behind it not."""
        chained = self._chained
        part = chained[number]
        mixed = list(kept)
        for later in chained[number + 1 :]:
            for group in later.groups:
                mixed[group] = self.task.structure.full[group]
        base = self.loaded.runner.settled(self.slicer.variant_of(mixed)).network
        own = [path for path in self.chain.called if part.holds(self.chain.ends[path])]
        tensors = [path for path in own if base.get_submodule(path).state_dict()]
        held = () if part.end is None else (Held(part.end.node, self._crossing(part.end, kept)),)
        return Turn(part.name, tuple(tensors), base, held)

    def _crossing(self, end: CutPoint, kept: Kept) -> tuple[tuple[int, IntArray], ...]:
        """Return the channels that may lie on the features at a cut: as they are put out before it or taken in behind.

        In the middle of a block they lie on neither alone (several concatenated, or pixels flattened among channels).
        """
        parts, ends = self.task.structure.parts, self.chain.ends
        before = [part.outgoing for part in parts if ends.get(part.path, end.position + 1) <= end.position]
        behind = [part.incoming for part in parts if ends.get(part.path, -1) > end.position]
        wirings = [wiring for wiring in (*before[::-1], *behind) if wiring is not None]
        return tuple((len(wiring), wiring.staying(kept)) for wiring in wirings)
