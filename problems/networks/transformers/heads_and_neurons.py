"""Head, neuron and layer pruning of transformers: what each layer keeps, against quality and size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from emoprune import plugins
from emoprune.contracts import Audit, Description, Inspection, Recovered, about
from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.criteria.by_name import criterion_named
from emoprune.problems.networks.recovery.rounds.states import folder_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.contract import TransformerFront
from emoprune.problems.networks.transformers.criteria.contract import TransformerCriterion
from emoprune.problems.networks.transformers.export.rounding import rounding_to
from emoprune.problems.networks.transformers.export.tensors import PackedLayer
from emoprune.problems.networks.transformers.genes import GeneLayout, Orders
from emoprune.problems.networks.transformers.inspection import inspection_of_layers
from emoprune.problems.networks.transformers.options import (
    NONE,
    HeadsAndNeuronsAuditOptions,
    HeadsAndNeuronsOptions,
    HeadsAndNeuronsRecoveryOptions,
)
from emoprune.problems.networks.transformers.prepare import evidence_of, kept_scores, orders_of, smallest_plan
from emoprune.problems.networks.transformers.problem import GGUF, PACKED, SAFETENSORS, TransformerProblem
from emoprune.problems.networks.transformers.recovery.contract import RecoveryCase
from emoprune.problems.networks.transformers.recovery.units import UnitRounds
from emoprune.problems.networks.transformers.references.inputs import ReferenceInputs, first_references
from emoprune.problems.networks.transformers.repair.adjusting import checked_bits, packed_layers, repairing, rounding
from emoprune.problems.networks.transformers.repair.contract import RepairInputs, TransformerCompensation
from emoprune.records import Candidate
from emoprune.space import IntArray

__all__ = ["HeadsAndNeurons"]


@about("pruning", ["heads", "neurons", "layers"], cost="the search part once through what is new of each candidate")
class HeadsAndNeurons(TransformerProblem):
    """Prune a transformer's heads, feed-forward neurons and layers, repaired without training.

    A few genes for each layer say what stays of it.

    BERT-, ViT- and Llama-like models with multi-head, multi-query or grouped-query attention, mixtures of experts
    included. The units with the highest scores stay; the smaller model is really built and run.
    """

    options: ClassVar = HeadsAndNeuronsOptions

    def __init__(self, **given: Any) -> None:
        own = self._own = HeadsAndNeuronsOptions(**given)
        self._criterion: TransformerCriterion = criterion_named(own.criterion, own.problem)
        self._compensation: TransformerCompensation | None = None
        if own.repair != NONE:
            self._compensation = plugins.method("compensation", own.repair, own.problem, option="repair")
        super().__init__(own, "bytes" if own.bits else "parameters")
        if own.bits:
            self.open().anatomy.check_one_stack("bits")
        self._layout = GeneLayout(
            self.open().anatomy,
            own.genes,
            own.levels,
            own.round_to,
            own.smallest,
            own.drop_layers,
            checked_bits(own.bits),
            own.whole_groups,
            own.uniform,
        )
        self._scores: tuple[Scores, ...] = ()
        self._smallest = self.counted(smallest_plan(self._layout, self._unranked))
        self._measures.check_reachable(self._smallest)
        self.space = self._layout.space

    @property
    def _unranked(self) -> Orders:
        return [np.arange(units) for units in self._layout.anatomy.units]

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return genomes in which the other genes of a dropped layer are at their highest levels."""
        return self._layout.canonical(genomes)

    def prepare(self, folder: Path, seed: int) -> None:
        """Fit a classifier if there is none, rank the units, and make the references; all is kept in `folder`."""
        self._seed, self._folder = seed, folder
        self._scores = kept_scores(self._fit(folder), self._criterion, folder, seed)
        self._references.keep(folder, self.space, lambda methods: first_references(methods, self.reference_inputs()))

    def reference_inputs(self) -> ReferenceInputs:
        """Return what reference methods look at."""
        own = self.open()
        return ReferenceInputs(
            own,
            evidence_of(own, self._seed),
            self._layout,
            self._cost_model,
            self._scores,
            self._ranked,
            self.cost,
            self._own.percentages,
            np.random.default_rng(self._seed),
        )

    @property
    def _ranked(self) -> Orders:
        """The units of each group, the most important first."""
        if not self._scores:
            raise ContractError("the units are not ranked yet; call prepare(folder, seed) first")
        return orders_of(self._scores, self._layout.anatomy if self._layout.whole_groups else None)

    @property
    def _orders(self) -> Orders | None:
        """The order in which units go, if every genome keeps the first ones."""
        layout = self._layout
        by_network = layout.uniform and any(len(own.feed_forwards) > 1 for own in layout.anatomy.blocks)
        return self._ranked if layout.form == "levels" and not by_network else None

    def plans(self, genome: IntArray) -> list[BlockPlan]:
        """Return what a genome keeps of each layer."""
        return self._layout.decode(genome, self._ranked)

    def counted(self, plans: Sequence[BlockPlan]) -> dict[str, float]:
        """Return macs, parameters and bytes with these plans."""
        return self._cost_model.counted(plans)

    def adjust(self) -> Adjust | None:
        """Return the repair, the coding if there are bits to choose from, and the rounding to what is stored."""
        own = rounding(self.open(), self._repair()) if self._layout.bits else self._repair()
        return rounding_to(self.dtype, own)

    def _repair(self) -> Adjust | None:
        if self._compensation is None:
            return None
        return repairing(self._compensation, RepairInputs(evidence_of(self.open(), self._seed), self._orders))

    def packed(self, plans: Sequence[BlockPlan]) -> dict[str, PackedLayer]:
        """Return the rounded layers."""
        return packed_layers(self.open(), plans, self._repair())

    @property
    def formats(self) -> tuple[str, ...]:
        """How a model can be written; packed has the bytes that were counted where weights are rounded.

        A GGUF file lies beside the folder's other files.
        """
        return (PACKED, SAFETENSORS) if self._layout.bits else (SAFETENSORS, GGUF)

    def describe(self, genome: IntArray) -> Description:
        """Say what each layer keeps and what that costs."""
        plans = self._layout.decode(genome, self._ranked if self._scores else self._unranked)
        described: dict[str, str | int | float] = {}
        for number, (plan, block) in enumerate(zip(plans, self._layout.anatomy.blocks, strict=True)):
            text = f"{len(plan.heads)} of {block.attention.heads} heads, {len(plan.neurons)} of {block.neurons} neurons"
            text += f", {plan.bits} bits" if self._layout.bits else ""
            described[f"layer {number}"] = text if plan.kept else "dropped"
        return described | self.described(plans)

    def inspect(self) -> Inspection:
        """Return the layers, the sizes that can be reached, and whether the bounds can be met."""
        counted = (self._unpruned, self._smallest)
        return inspection_of_layers(self._options.model, self._layout, self._measures, counted, self.open().notes)

    @plugins.taking(HeadsAndNeuronsAuditOptions)
    def audit(self, candidates: Sequence[Candidate], folder: Path, seed: int, **given: Any) -> Audit:
        """Say whether the front can be believed.

        Args:
            candidates: Members of the front.
            folder: Where a method may keep what takes long.
            seed: All randomness.
            given: As `HeadsAndNeuronsAuditOptions` has them.

        Raises:
            ConfigError: There are too few candidates, or an option is wrong.
        """
        audit = HeadsAndNeuronsAuditOptions(**given).audit()
        front = TransformerFront(
            {each.id: self._layout.decode(each.genome, self._ranked) for each in candidates},
            self.open(),
            self._criterion,
            self.loaded.narrower,
            self.loaded.device,
            self._options,
            self.quality,
            self.seen,
            seed,
            folder,
            self._repair,
        )
        return audit(front)

    @plugins.taking(HeadsAndNeuronsRecoveryOptions)
    def recover(self, genome: IntArray, folder: Path, seed: int, **given: Any) -> Recovered:
        """Win back what pruning cost a candidate, within `epochs` over the training part, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered model is written.
            seed: Fixes the order of what is trained on, adapters, and what a criterion draws.
            given: As `HeadsAndNeuronsRecoveryOptions` has them.

        Raises:
            ConfigError: An option cannot be used, or training diverged.
            ContractError: The written model is not the measured one.
        """
        own = HeadsAndNeuronsRecoveryOptions(**given)
        recovery = own.recovery()
        opened, loaded, plans = self.open(), self.loaded, self.plans(genome)
        case = RecoveryCase(
            opened,
            loaded.narrower,
            plans,
            own.plan,
            loaded.device,
            seed,
            zeros=lambda _model: {},
            rounds=lambda: UnitRounds(opened, plans, self._criterion, seed),
            folder=folder_of(self._folder, genome),
            macs=self._unpruned["macs"],
        )
        return self.recovered(recovery, case, genome, folder, own.name)
