"""Joint pruning with several sub-networks: every part of a network searched by itself, then what they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Inspection, Paper, Recovered, Reference, Row, about
from emoprune.contracts.stages import Concluded, Next, Stage
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.channels.inspection import check_prunable
from emoprune.problems.networks.channels.prepare import ChannelsPrepared, Method, prepared_channels
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.evaluation.blocks import Averages
from emoprune.problems.networks.evaluation.graded import GradedByImages
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.recovery.recover import recovered
from emoprune.problems.networks.subnetworks.choices import Choices
from emoprune.problems.networks.subnetworks.constrained import SubnetworkCase
from emoprune.problems.networks.subnetworks.every_gene import EveryGene, Joint
from emoprune.problems.networks.subnetworks.genes import GeneForm
from emoprune.problems.networks.subnetworks.joining import check_objectives, joined
from emoprune.problems.networks.subnetworks.options import SubnetworkOptions, SubnetworkRecoveryOptions
from emoprune.problems.networks.subnetworks.outline import inspection_of_parts, parts_table
from emoprune.problems.networks.subnetworks.part import PartProblem
from emoprune.problems.networks.subnetworks.parts import Cut, Parts
from emoprune.problems.networks.subnetworks.turns import Turns
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.unpruned.by_name import network_named
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.found_references import measuring
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["Subnetworks"]

CHOICES = "choices.json"


@about(
    "pruning",
    ["channels", "sub-networks"],
    cost="one pass over the calibration images and one over those of the search each time",
    papers=[Paper("An EMO Joint Pruning with Multiple Sub-networks", "2303.16212")],
)
class Subnetworks(GradedByImages):
    """Prune a network part by part: search each for itself, rank all fronts by impairment, choose among their members.

    Each part is searched between the frozen rest of the network, as a stage of its own, side by side with the others;
    what the search itself varies is which member of each part's front is taken, or every gene of the network from there
    on. Channels that cross a cut keep their full width, or are searched as parts of their own, or at last.

    After Shang et al., arXiv 2303.16212 (EMO-PMS). Its code is not public; the measure of a part, the ranking and the
    constraint training are reconstructions.
    """

    options: ClassVar[type[SubnetworkOptions]] = SubnetworkOptions

    def __init__(self, **given: Any) -> None:
        own = SubnetworkOptions(**given)
        self._method = Method.of(own)
        unfit = measuring(self._method.references)
        if unfit:
            raise ConfigError(f"references: {unfit[0]!r} measures the whole network, of which only parts are searched")
        self._task = NetworkTask(own)
        check_prunable(self._task.structure)
        check_objectives(self._task.measures)
        self._levels = WidthLevels.of(self._task.structure.groups, own.widths, own.round_to, own.smallest)
        self._every_gene = own.joint == "genes"
        self._part_images = self._checked(own.part_images)
        self._part_search = dict(own.part_search or {})
        with seeded(0):
            made = network_named(own.network).eval()
        form = GeneForm(own.genes, own.widths, own.round_to, own.smallest)
        self._parts = Parts.of(self._task, made, form, Cut(own.parts, own.cuts, own.crossing, own.rest))
        self._kept: ChannelsPrepared | None = None
        self._problems: dict[str, PartProblem] = {}
        self._choices: Choices | None = None
        self._searched_at_last: Joint | None = None
        self._held: Loaded | None = None
        self._slicer: Slicer | None = None
        self.objectives = self._task.measures.objectives
        self.constraints = self._task.measures.constraints
        self.formats = self._task.formats

    def _checked(self, images: int | None) -> int | None:
        there = len(self._task.data.part(Split.SEARCH))
        if images is not None and not 1 <= images <= there:
            raise ConfigError(f"part_images: expected 1 to {there}, all of the search images, found {images}")
        return images

    def inspect(self) -> Inspection:
        """Return where the network can be cut, its parts, and the size of each one's search space."""
        return inspection_of_parts(self._task, self._parts.chain, self._parts.unranked(), free_at_last=self._every_gene)

    def check(self) -> None:
        """Find out before there is a run whether network, weights, data and bounds fit together."""
        one_unit_each = np.ones((1, len(self._task.structure.groups)), dtype=np.int64)
        self._task.check(self._task.counted(one_unit_each))

    def alarms(self, candidates: Sequence[Candidate], values: NDArray[np.float64]) -> list[str]:
        """Return what is alarming in what was measured: scores at chance level."""
        return self._task.alarms(candidates, values)

    def prepare(self, folder: Path, seed: int) -> None:
        """Train or load the unpruned network into `folder`, rank its units, and take up what the parts led to."""
        self._task.prepare(folder, seed)
        self._kept = prepared_channels(self._task, self._levels, self._method, folder, seed)
        self._problems = self._parts.problems(self._kept.scores, self._named)
        if self._part_images is not None:
            self._problems = {name: replace(each, in_full=True) for name, each in self._problems.items()}
        if (folder / CHOICES).exists():
            self._take_up(Choices.load(folder / CHOICES))

    @property
    def _named(self) -> dict[str, IntArray]:
        """What a user would have picked without a search, as widths of all coupling groups."""
        references = self._prepared.references[1:]
        return {each.name: self._levels.decode(each.genome[np.newaxis])[0] for each in references}

    def following(
        self,
        concluded: Mapping[str, Concluded],
        folder: Path,
        seed: int,  # noqa: ARG002  # the contract's
    ) -> Next:
        """Return the parts as stages, side by side; once they are searched, how they were ranked, and nothing more."""
        if not concluded:
            table = {"parts": parts_table(self._task, list(self._problems.values()))}
            return Next([Stage(name, each, self._part_search) for name, each in self._problems.items()], table)
        choices = self._choices
        if choices is None:
            choices = joined(list(self._problems.values()), concluded, free_at_last=self._every_gene)
            choices.save(folder / CHOICES)
            self._take_up(choices)
        return Next((), choices.tables, choices.notes)

    def _take_up(self, choices: Choices) -> None:
        """Know from now on what is searched at last."""
        self._choices, self._searched_at_last = choices, choices
        if self._every_gene:
            genes = self._parts.every_gene(self._prepared.scores)
            self._searched_at_last = EveryGene(choices, genes, self._task.structure.full, self._named)

    def stage(self, name: str) -> PartProblem:
        """Return the part of that name."""
        return self._problems[name]

    @property
    def _joint(self) -> Joint:
        if self._searched_at_last is None:
            raise ContractError("the parts are not searched yet; there is nothing to choose from before that")
        return self._searched_at_last

    @property
    def space(self) -> Space:
        """One gene per part: which member of its front; or the genes of every coupling group."""
        return self._joint.space

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned network, then what a user would have picked without a search."""
        found: dict[bytes, Reference] = {}
        for name, genome in self._joint.references.items():
            found.setdefault(self.space.key(genome), Reference(name, genome))
        return tuple(found.values())

    def starts(self) -> IntArray:
        """Return the schemes along the impairment ranking, and with all genes even networks: shape (starts, genes)."""
        return self._joint.starts

    def setup(self, device: str, threads: int) -> None:
        """Load network and images to `device`, for all parts together."""
        self._held = self._task.load(device, threads, self._prepared.precision)
        self._slicer = Slicer(
            self._held.bench, self._prepared.scores, self._method.compensation, self._prepared.statistics
        )
        for_parts = self._on_fewer_images(self._held)
        for part in self._problems.values():
            part.attach(for_parts, self._slicer)

    def _on_fewer_images(self, loaded: Loaded) -> Loaded:
        """Return what parts are measured with: some of the search images, and everything else as it is."""
        if self._part_images is None:
            return loaded
        fewer = {Split.SEARCH: loaded.bench.images[Split.SEARCH].spread(self._part_images)}
        return self._task.loaded_on(
            replace(loaded.bench, images={**loaded.bench.images, **fewer}), self._prepared.precision
        )

    @property
    def _prepared(self) -> ChannelsPrepared:
        if self._kept is None:
            raise ContractError("the units are not ranked yet; call prepare(folder, seed) first")
        return self._kept

    @property
    def _loaded(self) -> tuple[Loaded, Slicer]:
        if self._held is None or self._slicer is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._held, self._slicer

    def _units(self, genome: IntArray) -> Kept:
        return self._joint.kept(genome, self._task.structure.full)

    def _counted(self, genome: IntArray) -> dict[str, float]:
        return self._task.counted(np.array([[len(units) for units in self._units(genome)]], dtype=np.int64))

    def _variant(self, genome: IntArray) -> Variant:
        return self._loaded[1].variant_of(self._units(genome))

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome; all batch norms are estimated anew."""
        variants = [self._variant(own) for own in genomes]
        return self._loaded[0].rows(variants, [self._counted(own) for own in genomes], split)

    @property
    def _averages(self) -> Averages:
        return self._task.averages

    @property
    def _measuring(self) -> Loaded:
        return self._loaded[0]

    def _candidate(self, genome: IntArray) -> tuple[Variant, Mapping[str, float]]:
        return self._variant(genome), self._counted(genome)

    def describe(self, genome: IntArray) -> Description:
        """Say which member each part takes, how wide each coupling group stays, and what that costs."""
        described: dict[str, str | int | float] = dict(self._joint.taken(genome))
        for group, units in zip(self._task.structure.groups, self._units(genome), strict=True):
            described[group.name] = f"{len(units)} of {group.units}"
        return described | self._task.described(self._counted(genome))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the smaller network into `folder` in the first format, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def formats_to_write(self, asked: Sequence[str], there: Sequence[str]) -> Sequence[str]:
        """Return safetensors and a program unless others are asked for, beside what lies there already."""
        return self._task.formats_to_write(self._loaded[0], asked, there)

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the smaller network into `folder`, loadable without emoprune; verified in a fresh process.

        Raises:
            ContractError: The reloaded network is not the evaluated one.
        """
        settled = self._loaded[0].runner.settled(self._variant(genome))
        return self._written(settled, genome, folder, formats, verify=verify)

    def _written(
        self,
        variant: Variant,
        genome: IntArray,
        folder: Path,
        formats: Sequence[str],
        *,
        verify: bool,
        notes: Sequence[str] = (),
    ) -> Description:
        return self._task.export(
            self._loaded[0],
            variant,
            folder,
            kept=self._units(genome),
            counted=self._counted(genome),
            described=self.describe(genome),
            formats=formats,
            verify=verify,
            notes=notes,
        )

    @plugins.taking(SubnetworkRecoveryOptions)
    def recover(self, genome: IntArray, folder: Path, seed: int, **given: Any) -> Recovered:
        """Train a candidate and measure it again.

        `constrained` trains towards the labels and the features that the unpruned parts put out: all parts together, or
        in turn, each fed by the pruned part before it; the epochs are then split evenly among the parts. `finetune` and
        `distil` know nothing of parts.

        Args:
            genome: The candidate.
            folder: Where the recovered network is written.
            seed: Fixes the order of the images, how they are varied, and dropout.
            given: As `SubnetworkRecoveryOptions` has them.
        """
        own = SubnetworkRecoveryOptions(**given)
        recovery, plan = own.recovery(), own.plan
        loaded, variant = self._loaded[0], self._variant(genome)
        wanted = self._task.formats_to_write(loaded, own.formats)
        turns = Turns(self._task, self._parts.chain, self._parts.parts, loaded, self._loaded[1])
        pruned = loaded.runner.settled(variant).network
        network = recovered(
            recovery,
            SubnetworkCase(
                pruned, loaded.bench, self._task.data.train, plan, seed, turns=turns, kept=self._units(genome)
            ),
        )
        values = loaded.measured(network, self._counted(genome))
        described = self._written(
            Variant(network, {}, adapted=False),
            genome,
            folder,
            wanted,
            verify=True,
            notes=[own.note(recovery)],
        )
        return Recovered(values, described)

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves; sending loaded tensors would send everything twice.
        return {**vars(self), "_held": None, "_slicer": None}
