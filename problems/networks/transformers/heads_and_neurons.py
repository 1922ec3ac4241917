"""Head, neuron and layer pruning of transformers: what each layer keeps, against quality and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from emoprune import plugins
from emoprune.contracts import Audit, Description, FloatArray, Inspection, Recovered, Reference
from emoprune.errors import ContractError
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.contract import TransformerAudit, TransformerFront
from emoprune.problems.networks.transformers.criteria.by_name import criterion_named
from emoprune.problems.networks.transformers.export.folders import PackedLayer
from emoprune.problems.networks.transformers.genes import Form, GeneLayout, Orders
from emoprune.problems.networks.transformers.inspection import inspection_of_layers
from emoprune.problems.networks.transformers.prepare import (
    TransformerPrepared,
    Wanted,
    prepared_transformer,
    reference_inputs,
    smallest_plan,
)
from emoprune.problems.networks.transformers.problem import PACKED, SAFETENSORS, TransformerProblem
from emoprune.problems.networks.transformers.recovery.contract import RecoveryCase, TransformerRecovery
from emoprune.problems.networks.transformers.recovery.units import UnitRounds
from emoprune.problems.networks.transformers.references.inputs import PERCENTAGES, check_percentages
from emoprune.problems.networks.transformers.repair.adjusting import Repair, adjusting, checked_bits, packed_layers
from emoprune.problems.networks.transformers.tasks.options import Options, Purpose
from emoprune.problems.storage.found_references import picked_by
from emoprune.records import Candidate
from emoprune.space import IntArray

__all__ = ["HeadsAndNeurons"]

NAME = "heads-and-neurons"
REFERENCES = ("uniform", "global-criterion", "global-magnitude", "greedy-heads", "dropped-layers", "random")


class HeadsAndNeurons(TransformerProblem):
    """Prune a transformer's heads, feed-forward neurons and layers, repaired without training.

    A few genes for each layer say what stays of it.

    BERT-, ViT- and Llama-like models with multi-head, multi-query or grouped-query attention, mixtures of experts
    included. The units with the highest scores stay; the smaller model is really built and run.

    Args:
        model: minilm, smollm2, a Hugging Face folder, a GGUF file, or owner/model on a hub.
        task: What the model is for: language-modelling, text-classification or image-classification.
        data: For language modelling a text: python-topics, a file, or a folder of *.txt files. For classification a CSV
            or TSV file, a mapping of train, search, select and test to files, or images as for `channels`.
        length: Tokens in a window of text, or at most in a sentence.
        calibration: Windows or examples that scores and repairs are computed on.
        calibration_data: Another text to calibrate on; None takes windows of `data` that are measured nowhere.
        search: Windows that lead the search; for classification the parts of the data say.
        select: Windows that choose from its front.
        test: Windows that are reported.
        genes: levels (how many heads and neurons of each layer stay) or bits (which ones), for small models.
        levels: How many counts of heads, and of neurons, each layer can take, evenly spread from none to all.
        round_to: Counts of neurons are multiples of this many, or all; 8, 16 or 32 suits most hardware.
        smallest: No layer that stays keeps less than this share of its heads or neurons.
        drop_layers: Whether whole layers can go.
        bits: Numbers of bits that each layer's weights can be rounded to, rising up to 32; none leaves them floats.
        criterion: What ranks units; `emoprune list criteria` names those that serve heads-and-neurons.
        repair: least-squares fits the output projections of each narrowed layer to the unpruned ones; or none.
        references: What a user would have picked without a search: uniform, global-criterion, global-magnitude,
            greedy-heads, dropped-layers, random.
        percentages: Of the counted objective, at which the references are made.
        objectives: What is minimised: perplexity, loss, error, kl, macs, parameters, bytes, milliseconds; by default
            the task's own measure and parameters.
        at_most: Bounds by measure, or as `parameters-share` in shares of the unpruned model.
        batch: How many examples are timed at once for milliseconds.
        cache_megabytes: How much memory each worker may use for hidden states and layers that candidates share.
    """

    def __init__(
        self,
        *,
        model: str = "smollm2",
        task: Purpose = "language-modelling",
        data: str | Mapping[str, str] = "python-topics",
        length: int = 128,
        calibration: int = 16,
        calibration_data: str | None = None,
        search: int = 8,
        select: int = 16,
        test: int = 32,
        genes: Form = "levels",
        levels: int = 16,
        round_to: int = 1,
        smallest: float = 0.0,
        drop_layers: bool = True,
        bits: Sequence[int] = (),
        criterion: str | Mapping[str, Any] = "heapr",
        repair: Repair = "least-squares",
        references: Sequence[str | Mapping[str, Any]] = REFERENCES,
        percentages: Sequence[int] = PERCENTAGES,
        objectives: Sequence[str] = (),
        at_most: Mapping[str, float] | None = None,
        batch: int = 1,
        cache_megabytes: int = 512,
    ) -> None:
        check_percentages(percentages)
        # A method that is named twice is asked once.
        once = [own for place, own in enumerate(references) if own not in references[:place]]
        self._references = plugins.methods("reference", once, NAME, option="references")
        self._percentages = tuple(percentages)
        options = Options(
            model=model,
            task=task,
            data=data if isinstance(data, str) else dict(data),
            length=length,
            calibration=calibration,
            calibration_data=calibration_data,
            search=search,
            select=select,
            test=test,
            objectives=tuple(objectives),
            at_most=dict(at_most or {}),
            batch=batch,
            cache_megabytes=cache_megabytes,
        )
        self._criterion = criterion_named(criterion)
        self._repair = repair
        super().__init__(options, "bytes" if bits else "parameters")
        anatomy = self.open().anatomy
        self._layout = GeneLayout(anatomy, genes, levels, round_to, smallest, drop_layers, checked_bits(bits))
        self._kept: TransformerPrepared | None = None
        self._seed = 0
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
        own = self._fit(folder)
        self._kept = prepared_transformer(own, self._layout, self._criterion, self._wanted, folder=folder, seed=seed)
        self._seed = seed

    @property
    def _wanted(self) -> Wanted:
        return Wanted(self._references, self.cost, self._percentages)

    @property
    def _prepared(self) -> TransformerPrepared:
        if self._kept is None:
            raise ContractError("the units are not ranked yet; call prepare(folder, seed) first")
        return self._kept

    @property
    def _orders(self) -> Orders | None:
        """The order in which units go, if every genome keeps the first ones."""
        return self._prepared.orders if self._layout.form == "levels" else None

    def plans(self, genome: IntArray) -> list[BlockPlan]:
        """Return what a genome keeps of each layer."""
        return self._layout.decode(genome, self._prepared.orders)

    def counted(self, plans: Sequence[BlockPlan]) -> dict[str, float]:
        """Return macs, parameters and bytes with these plans."""
        return self._cost_model.counted(plans)

    def adjust(self) -> Adjust | None:
        """Return the repair, and the rounding if there are bits to choose from."""
        return adjusting(self.open(), self._repair, self._layout.bits, self._orders)

    def packed(self, plans: Sequence[BlockPlan]) -> dict[str, PackedLayer]:
        """Return the rounded layers."""
        return packed_layers(self.open(), plans, adjusting(self.open(), self._repair, (), self._orders))

    @property
    def formats(self) -> tuple[str, ...]:
        """How a model can be written; packed has the bytes that were counted where weights are rounded."""
        return (PACKED, SAFETENSORS) if self._layout.bits else (SAFETENSORS,)

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned model, then what a user would have picked without a search."""
        return self._prepared.references

    def starts(self) -> IntArray:
        """Return what has to be measured for the references that measure, shape (n, genes)."""
        found = [genomes for own in self._prepared.starts.values() for genomes in own.values()]
        return np.concatenate([np.zeros((0, len(self.space)), dtype=np.int64), *found])

    def surveyed(self, genomes: IntArray, values: FloatArray) -> list[Reference]:
        """Return the references that are picked from what was measured of genomes, shape (n, genes)."""
        starts = self._prepared.starts
        if not starts:
            return []
        inputs = reference_inputs(self.open(), self._layout, self._prepared.scores, self._wanted, self._seed)
        return picked_by(self._references, inputs, starts, self.errors(genomes, values))

    def describe(self, genome: IntArray) -> Description:
        """Say what each layer keeps and what that costs."""
        plans = self._layout.decode(genome, self._unranked if self._kept is None else self._kept.orders)
        described: dict[str, str | int | float] = {}
        for number, (plan, block) in enumerate(zip(plans, self._layout.anatomy.blocks, strict=True)):
            text = f"{len(plan.heads)} of {block.attention.heads} heads, {len(plan.neurons)} of {block.neurons} neurons"
            text += f", {plan.bits} bits" if self._layout.bits else ""
            described[f"layer {number}"] = text if plan.kept else "dropped"
        return described | self.described(plans)

    def inspect(self) -> Inspection:
        """Return the layers, the sizes that can be reached, and whether the bounds can be met."""
        return inspection_of_layers(self._options.model, self._layout, self._measures, (self._unpruned, self._smallest))

    def audit(
        self,
        candidates: Sequence[Candidate],
        folder: Path,
        seed: int,
        *,
        method: Annotated[str | Mapping[str, Any], plugins.naming("audit", NAME)] = "samples-and-domains",
        samples: int = 2,
        other_data: str | None = None,
        families: bool = False,
    ) -> Audit:
        """Say whether the front can be believed.

        Args:
            candidates: Members of the front.
            folder: Where a method may keep what takes long.
            seed: All randomness.
            method: How: an audit's name or import target, or a mapping of that and options; `emoprune list audits`
                names those that serve heads-and-neurons.
            samples: How many other samples of the data the units are ranked on.
            other_data: Other data that the front is measured and calibrated on; by default Python's own source code
                for a language model.
            families: Whether other families of compression are held against the front at equal bytes.

        Raises:
            ConfigError: There are too few candidates, or an option is wrong.
        """
        shared = {"samples": samples, "other_data": other_data, "families": families}
        chosen: TransformerAudit = plugins.method("audit", method, NAME, option="method", shared=shared)
        front = TransformerFront(
            {each.id: self._layout.decode(each.genome, self._prepared.orders) for each in candidates},
            self.open(),
            self._criterion,
            self.loaded.narrower,
            self.loaded.device,
            self._options,
            self.quality,
            seed,
            folder,
            lambda: adjusting(self.open(), self._repair, (), self._orders),
        )
        return chosen(front)

    def recover(
        self,
        genome: IntArray,
        folder: Path,
        seed: int,
        *,
        method: Annotated[str | Mapping[str, Any], plugins.naming("recovery", NAME)] = "finetune",
        epochs: float = 1.0,
        rate: float = 1e-4,
        rounds: int = 3,
        rank: int = 8,
        temperature: float = 2.0,
        weight: float = 0.5,
    ) -> Recovered:
        """Win back what pruning cost a candidate, within `epochs` over the training part, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered model is written.
            seed: Fixes the order of what is trained on, adapters, and what a criterion draws.
            method: How: a recovery's name or import target, or a mapping of that and options; `emoprune list
                recoveries` names those that serve heads-and-neurons.
            epochs: How often the training part is seen; 0.5 is half of it once.
            rate: The highest learning rate.
            rounds: How often something is pruned when rewinding.
            rank: How many numbers a low-rank adapter passes on.
            temperature: How soft the unpruned model's probabilities are made when distilling.
            weight: Their share of the loss when distilling, from 0 to 1.

        Raises:
            ConfigError: An option cannot be used, or training diverged.
            ContractError: The written model is not the measured one.
        """
        shared = {"rounds": rounds, "rank": rank, "temperature": temperature, "weight": weight}
        recovery: TransformerRecovery = plugins.method("recovery", method, NAME, option="method", shared=shared)
        opened, loaded, plans = self.open(), self.loaded, self.plans(genome)
        case = RecoveryCase(
            opened,
            loaded.narrower,
            plans,
            Plan(epochs, rate, weight_decay=0.0, clip=1.0),
            loaded.device,
            seed,
            zeros=lambda _model: {},
            rounds=lambda: UnitRounds(opened, plans, self._criterion, seed),
        )
        return self.recovered(recovery(case), genome, folder, plugins.named("method", method)[0])
