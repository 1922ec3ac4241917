"""What a run of channel widths makes once and keeps: ranked units, repair statistics, references, the precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emoprune import plugins
from emoprune.contracts import Reference, Starts
from emoprune.problems.compute.left_alone import left_alone
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.compensations.contract import Compensation, Statistics
from emoprune.problems.networks.channels.options import NONE, ChannelOptions
from emoprune.problems.networks.channels.references.catalogue import first_references
from emoprune.problems.networks.channels.references.inputs import Cost, ReferenceInputs
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.criteria.by_name import criterion_named
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.scoring import group_scores
from emoprune.problems.networks.evaluation.bench import Bench, unpruned_network
from emoprune.problems.networks.evaluation.precision import choose_precision, kept_precision
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.arrays import Weights, sealed_arrays
from emoprune.problems.storage.found_references import Methods
from emoprune.problems.storage.kept import sealed_json
from emoprune.problems.storage.kept_references import REFERENCES, as_json, from_json

__all__ = ["ChannelsPrepared", "Method", "prepared_channels", "reference_inputs"]

SCORES, STATISTICS = "scores.safetensors", "statistics.safetensors"
PRECISION = "precision.json"


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """How units are chosen and made up for, and which references are made."""

    criterion: Criterion
    compensation: Compensation | None
    references: Methods

    @classmethod
    def of(cls, options: ChannelOptions) -> Method:
        """Make the plug-ins that the options name, or describe by name and options.

        Raises:
            ConfigError: There is none of that name, or it does not take these options.
        """
        picking = plugins.methods("reference", options.references, options.problem, option="references")
        compensating = None
        if options.compensation != NONE:
            compensating = plugins.method("compensation", options.compensation, options.problem)
        return cls(criterion_named(options.criterion, options.problem), compensating, picking)


@dataclass(frozen=True, slots=True, eq=False)
class ChannelsPrepared:
    """Scores by coupling group, the compensation's statistics, the first references, and the precision.

    `starts` are what has to be measured for more references, by method.
    """

    scores: tuple[Scores, ...]
    statistics: Statistics
    references: tuple[Reference, ...]
    starts: Mapping[str, Starts]
    precision: str


def prepared_channels(
    task: NetworkTask, levels: WidthLevels, method: Method, folder: Path, seed: int
) -> ChannelsPrepared:
    """Make what is not in `folder` yet, and keep it there: scores, statistics, references, the precision.

    Kept, because a resume on another machine must not rank two nearly equal units the other way round.
    """
    bench = task.bench("cpu")
    evidence = Evidence(bench.network, bench.structure, bench.calibration, seed)
    scores = _scores(method.criterion, evidence, folder / SCORES)
    statistics = _statistics(method.compensation, evidence, folder / STATISTICS)
    slicer = Slicer(bench, scores, method.compensation, statistics)
    precision = _precision(task, bench, slicer, levels, folder / PRECISION)
    inputs = reference_inputs(task, levels, scores, seed)
    kept = sealed_json(folder / REFERENCES, lambda: as_json(*first_references(method.references, inputs)))
    references, starts = from_json(kept, levels.space)
    return ChannelsPrepared(scores, statistics, references, starts, precision)


def reference_inputs(task: NetworkTask, levels: WidthLevels, scores: Sequence[Scores], seed: int) -> ReferenceInputs:
    """Return what references are made from."""
    network = unpruned_network(task.options.network, task.weights)
    rng = np.random.default_rng(seed)
    return ReferenceInputs(task.structure, task.cost_model, levels, tuple(scores), network, rng, cost=_cost(task))


def _scores(criterion: Criterion, evidence: Evidence, path: Path) -> tuple[Scores, ...]:
    def made() -> Weights:
        with left_alone("criterion", evidence.network):
            scores = group_scores(criterion, evidence, evidence.structure.units)
        return {f"{number:04}": own for number, own in enumerate(scores)}

    kept = sealed_arrays(path, made)
    return tuple(kept[name] for name in sorted(kept))


def _statistics(compensation: Compensation | None, evidence: Evidence, path: Path) -> Statistics:
    if compensation is None:
        return {}

    def made() -> Statistics:
        with left_alone("compensation", evidence.network):
            return compensation.statistics(evidence)

    return sealed_arrays(path, made)


def _precision(task: NetworkTask, bench: Bench, slicer: Slicer, levels: WidthLevels, path: Path) -> str:
    def tried() -> list[Variant]:
        full = np.array(levels.full)
        return [slicer.variant(np.maximum(1, full * share // 100)) for share in (100, 75, 50, 25)]

    return kept_precision(path, task.options.precision, lambda: choose_precision(bench, tried(), task.estimate))


def _cost(task: NetworkTask) -> Cost:
    """Return the counted objective that references aim at; multiply-accumulates if none is counted."""
    counted: tuple[Cost, ...] = ("macs", "parameters", "bytes")
    return next((cost for cost in counted if cost in task.measures.objective_names), "macs")
