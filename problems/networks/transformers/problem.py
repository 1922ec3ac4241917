"""What all problems on transformers share: model and data, loading, measuring, writing, and measuring again."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune import plugins
from emoprune.contracts import Description, Failure, FloatArray, Link, Recovered, Reference, Row, number_of
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device
from emoprune.problems.networks.evaluation.blocks import grades_of
from emoprune.problems.networks.evaluation.chance import alarms_about
from emoprune.problems.networks.evaluation.latency import Timing, measured_calls
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.evaluation.objectives.contract import COUNTS, Built, link_of, needs
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.transformers.anatomy.narrowing import Adjust, Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.blocks import BatchBlocks, part_of
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, Batch, Parts, digest_of
from emoprune.problems.networks.transformers.export.card import Facts
from emoprune.problems.networks.transformers.export.checkpoint import said_of_modules, stored_dtype
from emoprune.problems.networks.transformers.export.export import export_model
from emoprune.problems.networks.transformers.export.folders import Exported
from emoprune.problems.networks.transformers.export.gguf_file import check_family, write_gguf
from emoprune.problems.networks.transformers.export.rounding import fits, round_to
from emoprune.problems.networks.transformers.export.tensors import PackedLayer
from emoprune.problems.networks.transformers.measures import SeenTransformer, measures_of
from emoprune.problems.networks.transformers.prepare import fitted
from emoprune.problems.networks.transformers.recovery.checking import recovered_by
from emoprune.problems.networks.transformers.recovery.contract import RecoveryCase, TransformerRecovery
from emoprune.problems.networks.transformers.references.kept import KeptReferences
from emoprune.problems.networks.transformers.running.runner import Runner
from emoprune.problems.networks.transformers.tasks.classes import ClassTask
from emoprune.problems.networks.transformers.tasks.contract import Judge
from emoprune.problems.networks.transformers.tasks.opening import Opened, opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.problems.networks.transformers.tasks.scoring import scores_of_model
from emoprune.problems.networks.transformers.tasks.trying import try_unpruned
from emoprune.problems.storage.exported import about_folder
from emoprune.problems.storage.found_references import measured_by
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["GGUF", "PACKED", "SAFETENSORS", "Loaded", "TransformerProblem"]

MEGABYTE = 2**20
LOSS, EXP_MEAN = "loss", "exp-mean"
PACKED, SAFETENSORS, GGUF = "packed", "safetensors", "gguf"

Plans = Sequence[BlockPlan]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: what cuts models, runs and judges them, where, and on which batches.

    `unpruned` are the unpruned model's measures by split, where a share of one is bounded that is not counted.
    """

    narrower: Narrower
    runner: Runner
    judge: Judge
    device: str
    parts: Parts
    unpruned: dict[Split, Mapping[str, float]] = field(default_factory=dict)


class TransformerProblem(ABC):
    """A problem whose genomes are plans for a transformer's layers; the problems say what their genes mean.

    Args:
        options: Model, data and measures.
        cost: The counted objective unless objectives are named.
    """

    space: Space

    def __init__(self, options: TransformerOptions, cost: str) -> None:
        self._options = options
        self._references = KeptReferences(options.references, options.problem)
        self._seed = 0
        self._folder: Path | None = None
        own = opened(options)
        own = replace(own, notes=(*own.notes, *said_of_modules(own.loaded.source.name)))
        for note in own.notes:
            _log.warning("%s", note)
        self._opened: Opened | None = own
        self._weights: dict[str, torch.Tensor] = {}
        self._held: Loaded | None = None
        self.dtype: torch.dtype = getattr(
            torch, stored_dtype(own.loaded.source.name) if options.dtype == "auto" else options.dtype
        )
        self._cost_model = own.cost_model
        self._cost_model.store_as(self.dtype)
        round_to(own.task.model, self.dtype)
        self._unpruned = self._cost_model.counted(_whole(own.anatomy))
        chosen = tuple(options.objectives) or (own.task.default_objective, cost)
        self._measures: Measures = measures_of(
            options.problem, chosen, options.at_most or {}, self._unpruned, own.task.scored
        )
        self._measures.check_references(self._references.methods)
        self.objectives = self._measures.objectives
        self.constraints = self._measures.constraints

    @abstractmethod
    def plans(self, genome: IntArray) -> list[BlockPlan]:
        """Return what a genome keeps of each layer."""

    @abstractmethod
    def counted(self, plans: Plans) -> dict[str, float]:
        """Return macs, parameters and bytes with these plans."""

    @abstractmethod
    def adjust(self) -> Adjust | None:
        """Return what is done to the weights of narrowed layers."""

    @abstractmethod
    def packed(self, plans: Plans) -> dict[str, PackedLayer]:
        """Return the layers whose weights are stored in fewer bytes."""

    @abstractmethod
    def describe(self, genome: IntArray) -> Description:
        """Say what each layer keeps and what that costs."""

    @abstractmethod
    def reference_inputs(self) -> Any:
        """Return what reference methods look at."""

    @property
    def formats(self) -> tuple[str, ...]:
        """How a model can be written."""
        return (SAFETENSORS,)

    def open(self) -> Opened:
        """Return the model and the data, loaded anew in a worker."""
        if self._opened is None:
            self._opened = opened(self._options, tried=True)
            self._opened.task.model.load_state_dict(self._weights, strict=False)
            round_to(self._opened.task.model, self.dtype)
        return self._opened

    def _fit(self, folder: Path) -> Opened:
        """Fit a classifier if there is none; `folder` keeps it."""
        folder.mkdir(parents=True, exist_ok=True)
        own = self.open()
        self._weights = fitted(own, folder)
        round_to(own.task.model, self.dtype)
        return own

    def try_unpruned(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # the contract's; fitting draws nothing
        """Refuse a model that scores like guessing, unless the options accept it; `folder` keeps a fitted classifier.

        Raises:
            ConfigError: It says what is likely wrong.
        """
        try_unpruned(self._fit(folder), self._options)

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> list[str]:
        """Return what is alarming in rows of the search split: classes told apart no better than by guessing."""
        task = self.open().task
        if not isinstance(task, ClassTask):
            return []
        labels = torch.cat([batch.labels.flatten() for batch in task.parts["search"]]).cpu().numpy()
        labels = labels[labels >= 0]  # those of tokens that are told apart
        return alarms_about(candidates, values, self._measures.columns, labels)

    @property
    def cost(self) -> str:
        """The counted objective, or parameters if none is."""
        counted = [name for name in ("parameters", "macs", "bytes") if name in self._measures.objective_names]
        return counted[0] if counted else "parameters"

    @property
    def quality(self) -> Quality:
        """The first objective that says how good a model is; the task's own if none does."""
        own = self.open().task.default_objective
        return self._measures.quality or Quality(own, plugins.method("objective", own, self._options.problem))

    def references(self) -> tuple[Reference, ...]:
        """Return the unpruned model, then what a user would have picked without a search."""
        return self._references.found

    def starts(self) -> IntArray:
        """Return what has to be measured for the references that measure, shape (n, genes)."""
        return self._references.starts(len(self.space))

    def surveyed(self, genomes: IntArray, values: FloatArray) -> list[Reference]:
        """Return the references that are picked from what was measured of genomes, shape (n, genes)."""
        quality = self._measures.quality
        if quality is None:
            return []
        column = self._measures.objective_names.index(quality.name)
        measured = measured_by(self.space, genomes, quality.minimised(values[:, column]))
        return self._references.picked(self.reference_inputs, measured)

    def setup(self, device: str, threads: int) -> None:
        """Load model and data to `device`."""
        torch.set_num_threads(threads)
        check_device(device)
        own = self.open()
        own.task.model.to(device)
        parts = {part: [batch.on(device) for batch in batches] for part, batches in own.task.parts.items()}
        narrower = own.narrower(self.adjust())
        measured: Parts = {part: batches for part, batches in parts.items() if part != CALIBRATION}
        measured = {**measured, **self._blocks.parts(measured)}
        runner = Runner(narrower, measured, self._options.cache_megabytes * MEGABYTE)
        held = self._held = Loaded(narrower, runner, own.task.judge(narrower, measured), device, measured)
        for split in Split:
            if "kl" in self._measures.needed:
                self._remember(held.judge, split)
            counted = self._measures.counted(self._unpruned)
            if not self._measures.shared <= set(counted):
                held.unpruned[split] = counted | self._others(lambda: own.task.model, self._whole, split, counted)

    def _remember(self, judge: Judge, split: Split) -> None:
        taught = self._taught(split)
        judge.remember(taught, split.value)
        for block, own in enumerate(self._blocks.batches.get(split, ())):
            judge.remember(taught[own.start : own.stop : own.step], part_of(split, block))

    @cached_property
    def _blocks(self) -> BatchBlocks:
        return BatchBlocks.of(self.open().task, self._measures)

    @property
    def noisy(self) -> Sequence[str]:
        """The scores that follow from means over examples; none where the problem is measured in full."""
        return tuple(self._blocks.links)

    @property
    def links(self) -> Mapping[str, Link]:
        """How those of them that are no means themselves follow from one."""
        return {name: link for name, link in self._blocks.links.items() if link != "mean"}

    @property
    def grades(self) -> Sequence[int]:
        """After how many blocks of batches it is asked who goes on."""
        return grades_of(len(self._blocks.batches.get(Split.SEARCH, ())))  # none where it is measured in full

    def block_sizes(self, split: Split) -> Sequence[float]:
        """Return over how many examples, or tokens, each block's means are taken."""
        return self._blocks.sizes(self.open().task, split)

    def evaluate_blocks(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
        blocks: range,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome on some blocks, shape (blocks, columns) each."""
        return [self._block_row(self.plans(genome), split, blocks) for genome in genomes]

    def _block_row(self, plans: Plans, split: Split, blocks: range) -> FloatArray | Failure:
        # A perplexity is e to the mean loss, which alone can be averaged over blocks.
        known, found = self._measures.known, list[dict[str, float]]()
        means = {name: LOSS if link_of(known[name]) == EXP_MEAN else name for name in self._averaged}
        names = frozenset(means.values())
        for part in [part_of(split, block) for block in blocks]:
            found.append(self.loaded.judge.scores(self.loaded.runner.hidden(plans, part), part, names))
            if not all(np.isfinite(value) for value in found[-1].values()):
                return Failure("the model's outputs are not finite")
        averaged = {name: np.array([each[mean] for each in found]) for name, mean in means.items()}
        return self._measures.block_rows(self.counted(plans), averaged)

    @property
    def _averaged(self) -> list[str]:
        return sorted(self._measures.needed & set(self.open().task.scored))

    @property
    def _whole(self) -> list[BlockPlan]:
        return _whole(self.open().anatomy)

    def _taught(self, split: Split) -> list[torch.Tensor]:
        """Return what the unpruned model's last hidden states are made of, which `kl` is held against."""
        return self.loaded.judge.finished(self.loaded.runner.hidden(self._whole, split.value), split.value)

    @property
    def loaded(self) -> Loaded:
        """What `setup` loaded."""
        if self._held is None:
            raise ContractError("model and data are not loaded yet; call setup(device, threads) first")
        return self._held

    def evaluate(
        self,
        genomes: IntArray,
        seeds: NDArray[np.uint64],  # noqa: ARG002  # the contract's; nothing here is random
        split: Split,
    ) -> Sequence[Row]:
        """Return objectives and bounded values of each genome."""
        return [self._row(self.plans(genome), split) for genome in genomes]

    def _row(self, plans: Plans, split: Split) -> Row:
        loaded, needed = self.loaded, self._measures.needed
        values: dict[str, float] = dict(self.counted(plans))
        scored = frozenset(needed & set(self.open().task.scored))
        if scored:
            values |= loaded.judge.scores(loaded.runner.hidden(plans, split.value), split.value, scored)
            if not all(np.isfinite(values[name]) for name in scored):
                return Failure("the model's outputs are not finite")
        values |= self._others(lambda: loaded.narrower.narrowed(plans), plans, split, values)
        return self._measures.row(values, loaded.unpruned.get(split))

    def _others(
        self, model: Callable[[], Any], plans: Plans, split: Split, values: Mapping[str, float]
    ) -> dict[str, float]:
        """Return the measures of a row beside `values` and those of outputs; the model is made where one needs it."""
        known, task = self._measures.known, self.open().task
        there = {*values, *task.scored}
        names = [name for name in known if name in self._measures.needed and name not in there]
        own = model() if any(needs(known[name]) != COUNTS for name in names) else None
        seen = self.seen(own, plans, self.loaded.parts[split.value], split.value)
        return {name: number_of(name, known[name], seen) for name in names}

    def seen(self, model: Any | None, plans: Plans, batches: Sequence[Batch], part: str = "test") -> SeenTransformer:
        """Return a model with these plans as measures see it that run it themselves; None where it is only counted."""
        built = None if model is None else Built(model, lambda: model, cache(partial(self._timing, model)))
        own = self.open()
        return SeenTransformer(
            self.counted(plans),
            built=built,
            task=own.task,
            batches=batches,
            part=part,
            tokenizer=own.loaded.tokenizer,
        )

    def _timing(self, model: Any) -> Timing:
        inputs = self.open().task.sized(self._options.batch, self._options.length)
        inputs = {name: own.to(self.loaded.device) for name, own in inputs.items()}
        return measured_calls([partial(model, **inputs)], self._options.batch)[0]

    def values(self, model: Any, plans: Plans, split: Split) -> dict[str, float]:
        """Return the objectives of a model as it is, on one part of the data."""
        own, loaded, names = self.open(), self.loaded, self._measures.needed
        values = dict(self.counted(plans))
        unpruned = self._taught(split) if "kl" in names else None
        scored = frozenset(names & set(own.task.scored))
        values |= scores_of_model(own, model, split.value, scored, device=loaded.device, unpruned=unpruned)
        values |= self._others(lambda: model, plans, split, values)
        return {name: values[name] for name in self._measures.objective_names}

    def export(self, genome: IntArray, folder: Path) -> Description:
        """Write the smaller model into `folder` in the first format, verified."""
        return self.export_as(genome, folder, self.formats[:1], verify=True)

    def formats_to_write(self, asked: Sequence[str], there: Sequence[str]) -> Sequence[str]:  # noqa: ARG002  # the contract's
        """Return one format, because the files of all are loaded by the same names: another one is replaced."""
        return asked or self.formats[:1]

    def export_as(self, genome: IntArray, folder: Path, formats: Sequence[str], verify: bool) -> Description:
        """Write the smaller model into `folder`, loadable without emoprune; verified in a fresh process.

        Raises:
            ConfigError: There is no such format, or several are asked for.
            ContractError: The reloaded model is not the evaluated one.
        """
        if len(formats) != 1 or formats[0] not in self.formats:
            raise ConfigError(
                f"format: expected one of {', '.join(self.formats)}, found {', '.join(formats) or 'none'}"
            )
        plans, loaded = self.plans(genome), self.open().loaded
        layers = self.packed(plans) if formats[0] == PACKED else {}
        if formats[0] == GGUF:
            check_family(loaded)
        model = self.loaded.narrower.narrowed(plans)
        said = self.write(folder, model, plans, genome, layers, verify=verify)
        if formats[0] != GGUF:
            return said
        with about_folder(folder):
            return {**said, **write_gguf(folder, model, loaded, self.dtype)}

    def write(
        self,
        folder: Path,
        model: Any,
        plans: Plans,
        genome: IntArray,
        layers: Mapping[str, PackedLayer],
        *,
        verify: bool,
        notes: Sequence[str] = (),
    ) -> Description:
        """Write a model with these plans, its weights as they are in `model`, and return what was measured of it."""
        own, loaded = self.open(), self.loaded
        quality = frozenset(set(own.task.scored) - {"kl"})
        measured = []
        for each, counted in ((model, self.counted(plans)), (own.task.model, self._unpruned)):
            scores = scores_of_model(own, each, "test", quality, device=loaded.device)
            measured.append({**{f"test {name}": value for name, value in scores.items()}, **counted})
        about = own.task.about
        dtypes = [self._dtype_of_file(each.cpu(), coded=bool(layers)) for each in (model, own.task.model)]
        pruned = Exported(model, loaded.narrower.plan(plans), about, layers, dtypes[0])
        unpruned = Exported(own.task.model, loaded.narrower.plan(self._whole), about, dtype=dtypes[1])
        facts = Facts(self.describe(genome), (measured[0], measured[1]), self._data_name, notes)
        try:
            return export_model(folder, own, (pruned, unpruned), facts, length=self._options.length, check=verify)
        finally:
            own.task.model.to(loaded.device)

    def _dtype_of_file(self, model: Any, *, coded: bool) -> torch.dtype:
        """Return the numbers that a model is written in: as it is stored if it fits in, and 32-bit floats if not."""
        if coded:  # what is coded needs no room, and what is not was counted like this
            return self.dtype
        return self.dtype if fits(model, self.dtype) else torch.float32

    @property
    def _data_name(self) -> str:
        data = self._options.data
        return data if isinstance(data, str) else data["test"]

    def recovered(
        self, recovery: TransformerRecovery, case: RecoveryCase, genome: IntArray, folder: Path, method: str
    ) -> Recovered:
        """Recover a candidate, measure it again on every split, and write it; `method` is the recovery's name."""
        found = recovered_by(recovery, case)
        model, plans, spent = found.model.requires_grad_(requires_grad=False), found.plans, found.spent
        round_to(model, self.dtype)
        values = {split.value: self.values(model, plans, split) for split in Split}
        notes = [f"After pruning it was recovered by {method}: {spent}."]
        described = dict(self.write(folder, model, plans, genome, {}, verify=True, notes=notes))
        described |= {"method": method, **spent.described()}
        return Recovered(values, described)

    def described(self, plans: Plans) -> dict[str, int | float]:
        """Return the counted measures as a person reads them, each with its share of the unpruned model's."""
        described: dict[str, int | float] = {}
        for name, count in self.counted(plans).items():
            described |= {name: int(count), f"{name} share": round(count / self._unpruned[name], 4)}
        return described

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        own = self.open()
        return f"{own.loaded.digest()}-{digest_of(own.task.parts)}"

    def __getstate__(self) -> dict[str, Any]:
        # Workers load for themselves; sending the model would send it once for each of them.
        return {**vars(self), "_held": None, "_opened": None}


def _whole(anatomy: Anatomy) -> list[BlockPlan]:
    return [anatomy.whole(number) for number in range(len(anatomy.blocks))]
