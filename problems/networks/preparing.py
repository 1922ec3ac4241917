"""What a run of channel widths makes once and keeps: ranked units, repair statistics, references, the precision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from emoprune.contracts import FloatArray, Reference
from emoprune.errors import ConfigError
from emoprune.plugins import made
from emoprune.problems.networks.bench import Bench
from emoprune.problems.networks.compensations.contract import Compensation, Statistics
from emoprune.problems.networks.criteria.evidence import Criterion, Evidence, Scores
from emoprune.problems.networks.criteria.naming import CHANNELS, criterion_named
from emoprune.problems.networks.precision import choose_precision
from emoprune.problems.networks.references.catalogue import all_references, check_names
from emoprune.problems.networks.references.inputs import Cost, Measure, ReferenceInputs
from emoprune.problems.networks.references.stored import as_json, from_json
from emoprune.problems.networks.slicing import Slicer
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.widths import WidthLevels
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["NONE", "Method", "Prepared", "prepared"]

NONE = "none"

SCORES, REFERENCES = "scores.safetensors", "references.json"


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """How units are chosen and made up for, and which references are made."""

    criterion: Criterion
    compensation: Compensation | None
    references: Sequence[str]

    @classmethod
    def of(
        cls, criterion: str | Mapping[str, Any], compensation: str | Mapping[str, Any], references: Sequence[str]
    ) -> Method:
        """Make the plug-ins that a config names, or describes by name and options.

        Raises:
            ConfigError: There is none of that name, or it does not take these options.
        """
        check_names(references)
        compensating = None if compensation == NONE else _plugin("compensation", compensation)
        return cls(criterion_named(criterion, CHANNELS), compensating, tuple(references))


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Scores by coupling group, the compensation's statistics, references, what those spent, and the precision."""

    scores: tuple[Scores, ...]
    statistics: Statistics
    references: tuple[Reference, ...]
    evaluations: Mapping[str, int]
    precision: str


def prepared(task: NetworkTask, levels: WidthLevels, method: Method, folder: Path, seed: int) -> Prepared:
    """Make what is not in `folder` yet, and keep it there: the units' scores and the references with their price.

    Kept, because a resume on another machine must not rank two nearly equal units the other way round.
    """
    bench = task.bench("cpu")
    evidence = Evidence(bench.network, bench.structure, bench.calibration, seed)
    scores = _scores(method.criterion, evidence, folder / SCORES)
    statistics = {} if method.compensation is None else method.compensation.statistics(evidence)
    slicer = Slicer(bench, scores, method.compensation, statistics)
    precision = _precision(task, bench, slicer, levels, folder)
    inputs = ReferenceInputs(
        task.structure,
        task.cost_model,
        levels,
        scores,
        bench.network,
        _errors(task, bench, slicer, levels),
        np.random.default_rng(seed),
        cost=_cost(task),
    )
    references, spent = _references(method.references, inputs, folder / REFERENCES)
    return Prepared(scores, statistics, references, spent, precision)


def _scores(criterion: Criterion, evidence: Evidence, path: Path) -> tuple[Scores, ...]:
    if not path.exists():
        scores = criterion(evidence)
        save_file({f"{number:04}": np.asarray(own, dtype=np.float64) for number, own in enumerate(scores)}, path)
    kept = load_file(path)
    return tuple(kept[name] for name in sorted(kept))


def _precision(task: NetworkTask, bench: Bench, slicer: Slicer, levels: WidthLevels, folder: Path) -> str:
    wanted = task.options.precision
    if wanted != "auto":
        return wanted
    path = folder / "precision.json"
    if not path.exists():
        full = np.array(levels.full)
        widths = [np.maximum(1, full * share // 100) for share in (100, 75, 50, 25)]
        chosen = choose_precision(bench, [slicer.variant(own) for own in widths], task.estimate)
        path.write_text(json.dumps({"precision": chosen.precision, "why": chosen.reason}), encoding="utf-8")
    kept: str = json.loads(path.read_text(encoding="utf-8"))["precision"]
    return kept


def _errors(task: NetworkTask, bench: Bench, slicer: Slicer, levels: WidthLevels) -> Measure:
    """Return what measures the errors of genomes on the search split, the only one that references may look at."""
    runner, labels = task.runner(bench, "float32"), bench.images[Split.SEARCH].labels

    def errors(genomes: IntArray) -> FloatArray:
        variants = [slicer.variant(widths) for widths in levels.decode(genomes)]
        outputs = runner.outputs(variants, Split.SEARCH)
        return np.array([float((own.argmax(dim=1) != labels).double().mean()) for own in outputs])

    return errors


def _references(
    names: Sequence[str], inputs: ReferenceInputs, path: Path
) -> tuple[tuple[Reference, ...], dict[str, int]]:
    if not path.exists():
        picked, spent = all_references(names, inputs)
        path.write_text(json.dumps(as_json(picked, spent), indent=1) + "\n", encoding="utf-8")
    return from_json(json.loads(path.read_text(encoding="utf-8")), inputs.levels.space)


def _cost(task: NetworkTask) -> Cost:
    """Return the counted objective that references aim at; multiply-accumulates if none is counted."""
    counted: tuple[Cost, ...] = ("macs", "parameters", "bytes")
    return next((cost for cost in counted if cost in task.measures.objective_names), "macs")


def _plugin(kind: str, given: str | Mapping[str, Any]) -> Any:
    """Build a plug-in from its name, or from a mapping of its name and options."""
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"{kind}: expected a name, or a mapping with a name and options, found {given!r}")
    return made(kind, name, options)
