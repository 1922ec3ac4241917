"""Channel pruning of any convolutional network: how wide each coupling group stays, against error and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Audit, Description, FloatArray, Inspection, Recovered, Reference, Row, about
from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.inspection import check_prunable, inspection_of_channels
from emoprune.problems.networks.channels.options import ChannelAuditOptions, ChannelOptions, ChannelRecoveryOptions
from emoprune.problems.networks.channels.prepare import ChannelsPrepared, Method, prepared_channels, reference_inputs
from emoprune.problems.networks.channels.rounds import ChannelRounds
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.evaluation.blocks import Averages
from emoprune.problems.networks.evaluation.graded import GradedByImages
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.recovery.recover import described_spending, recovered
from emoprune.problems.networks.recovery.rounds.states import folder_of
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.found_references import picked_by
from emoprune.records import Candidate, Split
from emoprune.space import IntArray

__all__ = ["Channels"]

FEW = 4  # images on which is tried whether channels that nobody reads are as good as gone


@about("pruning", ["channels"], cost="one pass over the calibration images and one over those of the search each time")
class Channels(GradedByImages):
    """Prune the channels of a convolutional network: one gene per coupling group says how many of its units stay.

    The units with the highest scores stay; the smaller network is really built and run. Unless it is the unpruned one,
    its batch-norm statistics are estimated anew on images of the training part before it is scored; no weight is
    trained. Networks are always put into eval mode first.
    """

    options: ClassVar[type[ChannelOptions]] = ChannelOptions

    def __init__(self, **given: Any) -> None:
        own = ChannelOptions(**given)
        self._method = Method.of(own)
        self._task = NetworkTask(own)
        check_prunable(self._task.structure)
        self._task.measures.check_references(self._method.references)
        self._levels = WidthLevels.of(self._task.structure.groups, own.widths, own.round_to, own.smallest)
        self._kept: ChannelsPrepared | None = None
        self._seed = 0
        self._folder: Path | None = None
        self._held: Loaded | None = None
        self._slicer: Slicer | None = None
        self.space = self._levels.space
        self.objectives = self._task.measures.objectives
        self.constraints = self._task.measures.constraints
        self.formats = self._task.formats

    def inspect(self) -> Inspection:
        """Return the coupling groups, the sizes that can be reached, and whether the bounds can be met."""
        task = self._task
        notes = [*task.data.notes, *task.notes()]
        return inspection_of_channels(task.options.network, self._levels, task.cost_model, task.measures, notes)

    def check(self) -> None:
        """Find out before there is a run whether network, weights, data and bounds fit together."""
        self._task.check(self._task.counted(np.array([[widths[0] for widths in self._levels.table]], dtype=np.int64)))

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> list[str]:
        """Return what is alarming in what was measured: scores at chance level."""
        return self._task.alarms(candidates, values)

    def prepare(self, folder: Path, seed: int) -> None:
        """Train or load the unpruned network into `folder`, rank its units, and make the references."""
        self._task.prepare(folder, seed)
        self._kept = prepared_channels(self._task, self._levels, self._method, folder, seed)
        self._seed, self._folder = seed, folder

    def setup(self, device: str, threads: int) -> None:
        """Load network and images to `device`."""
        self._held = self._task.load(device, threads, self._prepared.precision)
        self._slicer = self._slicer_of(self._prepared.scores)

    def _slicer_of(self, scores: Sequence[Scores]) -> Slicer:
        return Slicer(self._loaded.bench, scores, self._method.compensation, self._prepared.statistics)

    @property
    def _prepared(self) -> ChannelsPrepared:
        if self._kept is None:
            raise ContractError("the units are not ranked yet; call prepare(folder, seed) first")
        return self._kept

    @property
    def _loaded(self) -> Loaded:
        if self._held is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._held

    def _variant(self, widths: IntArray) -> Variant:
        if self._slicer is None:
            raise ContractError("network and images are not loaded yet; call setup(device, threads) first")
        return self._slicer.variant(widths)

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        widths = self._levels.decode(genomes)
        variants = [self._variant(own) for own in widths]
        counted = [self._task.counted(own[np.newaxis]) for own in widths]
        return self._loaded.rows(variants, counted, split)

    @property
    def _averages(self) -> Averages:
        return self._task.averages

    @property
    def _measuring(self) -> Loaded:
        return self._loaded

    def _candidate(self, genome: IntArray) -> tuple[Variant, Mapping[str, float]]:
        widths = self._levels.decode(genome[np.newaxis])
        return self._variant(widths[0]), self._task.counted(widths)

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned network, then what a user would have picked without a search."""
        return self._prepared.references

    def starts(self) -> IntArray:
        """Return what has to be measured for the references that measure, shape (n, groups)."""
        found = [genomes for own in self._prepared.starts.values() for genomes in own.values()]
        return np.concatenate([np.zeros((0, len(self.space)), dtype=np.int64), *found])

    def surveyed(self, genomes: IntArray, values: FloatArray) -> list[Reference]:
        """Return the references that are picked from what was measured of genomes, shape (n, groups)."""
        if not self._prepared.starts:
            return []
        measured = self._task.measured_errors(self.space, genomes, values)
        inputs = reference_inputs(self._task, self._levels, self._prepared.scores, self._seed)
        return picked_by(self._method.references, inputs, self._prepared.starts, measured)

    def describe(self, genome: IntArray) -> Description:
        """Say how wide each coupling group stays and what that costs."""
        widths = self._levels.decode(genome[np.newaxis])
        named = zip(self._levels.names, widths[0].tolist(), self._levels.full, strict=True)
        described: dict[str, str | int | float] = {name: f"{width} of {full}" for name, width, full in named}
        return described | self._task.described(self._task.counted(widths))

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the smaller network into `folder` in the first format, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def formats_to_write(self, asked: Sequence[str], there: Sequence[str]) -> Sequence[str]:
        """Return safetensors and a program unless others are asked for, beside what lies there already."""
        return self._task.formats_to_write(self._loaded, asked, there)

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the smaller network into `folder`, loadable without emoprune; verified in a fresh process.

        Raises:
            ContractError: The reloaded network is not the evaluated one.
        """
        widths = self._levels.decode(genome[np.newaxis])
        return self._task.export(
            self._loaded,
            self._loaded.runner.settled(self._variant(widths[0])),
            folder,
            kept=self._kept_units(widths[0]),
            counted=self._task.counted(widths),
            described=self.describe(genome),
            formats=formats,
            verify=verify,
        )

    def _kept_units(self, widths: IntArray) -> Kept:
        return self._slicer_of(self._prepared.scores).kept(widths)

    @plugins.taking(ChannelAuditOptions)
    def audit(
        self,
        candidates: Sequence[Candidate],
        folder: Path,  # noqa: ARG002  # the contract's; fine-tuning is short enough to be repeated
        seed: int,
        **given: Any,
    ) -> Audit:
        """Say whether the front can be believed: proxy against fine-tuned scores, inherited against fresh weights.

        Args:
            candidates: Members of the front.
            folder: Not used.
            seed: All randomness comes from it.
            given: As `ChannelAuditOptions` has them.
        """
        audit = ChannelAuditOptions(**given).audit()
        front = ChannelFront(
            self._levels.decode(np.stack([candidate.genome for candidate in candidates])),
            self._prepared.scores,
            self._slicer_of,
            self._loaded.bench,
            self._loaded.runner,
            self._task.data.train,
            self._levels.table,
            seed,
            self._task.quality,
            self._task.recipe.epochs,
            self._method.criterion,
        )
        return audit(front)

    @plugins.taking(ChannelRecoveryOptions)
    def recover(self, genome: IntArray, folder: Path, seed: int, **given: Any) -> Recovered:
        """Fine-tune a candidate, or distil it from the unpruned network, and measure it again.

        Args:
            genome: The candidate.
            folder: Where the recovered network is written.
            seed: Fixes the order of the images, how they are varied, and dropout.
            given: As `ChannelRecoveryOptions` has them.
        """
        own = ChannelRecoveryOptions(**given)
        recovery, plan = own.recovery(), own.plan
        loaded, widths = self._loaded, self._levels.decode(genome[np.newaxis])
        wanted = self._task.formats_to_write(loaded, own.formats)
        pruned = loaded.runner.settled(self._variant(widths[0])).network

        @cache
        def rounds() -> ChannelRounds:
            bench, few = loaded.bench, loaded.bench.calibration.batches[0][:FEW]
            return ChannelRounds(bench.network, bench.structure, self._kept_units, widths[0], few)

        case = NetworkCase(
            pruned,
            loaded.bench,
            self._task.data.train,
            plan,
            seed,
            rounds=rounds,
            folder=folder_of(self._folder, genome),
            macs=self._task.measures.unpruned["macs"],
        )
        network = recovered(recovery, case)
        counted = self._task.counted(widths)
        values = loaded.measured(network, counted)
        described = self._task.export(
            loaded,
            Variant(network, {}, adapted=False),
            folder,
            # A recovery that took units away itself knows which.
            kept=rounds().kept if rounds.cache_info().currsize else self._kept_units(widths[0]),
            counted=counted,
            described=self.describe(genome),
            formats=wanted,
            verify=True,
            notes=[own.note(recovery)],
        )
        return Recovered(values, {**described, **described_spending(case.ledger)})

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        return self._task.fingerprint()

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves; sending loaded tensors would send everything twice.
        return {**vars(self), "_held": None, "_slicer": None}
