"""What the page says in words: what kind of run this is, and what went wrong in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emoprune.contracts import Direction, Objective
from emoprune.report.ranking import Ranking
from emoprune.report.readable import ReadableRun, generations_done
from emoprune.report.wording import duration, measured, plain, with_unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Failures", "failures", "summary"]

REASONS_SHOWN = 20
PACKAGES_SHOWN = ("numpy", "pymoo", "moocore", "ray", "torch", "scikit-learn", "lightgbm", "transformers")


@dataclass(frozen=True, slots=True)
class Failures:
    """Why evaluations failed: `reasons` are (status, reason, how often, first candidate), most frequent first."""

    count: int
    reasons: tuple[tuple[str, str, int, int], ...]
    kinds: int


def failures(history: pd.DataFrame) -> Failures:
    """Group the failed evaluations by status and reason; reasons that differ only in their numbers are one."""
    failed = history[history["status"].ne("ok")]
    kinds = [re.sub(r"\d+", "#", plain(reason)) for reason in failed["reason"]]
    groups = failed.assign(kind=kinds).groupby(["status", "kind"], sort=False)
    reasons = [
        (plain(rows["status"].iloc[0]), plain(rows["reason"].iloc[0]), len(rows), int(rows["candidate"].iloc[0]))
        for _, rows in groups
    ]
    reasons.sort(key=lambda reason: (-reason[2], reason[3]))
    return Failures(len(failed), tuple(reasons[:REASONS_SHOWN]), len(reasons))


def summary(run: ReadableRun, ranking: Ranking) -> list[tuple[str, str]]:
    """Return what is worth knowing of a run as labels and words."""
    progress, manifest = run.progress, run.manifest
    return [
        ("problem", plain(manifest["problem"])),
        ("state", progress.state.value),
        ("begun", f"{plain(manifest['created'])[:19].replace('T', ' ')} UTC"),
        ("time spent", duration(progress.seconds)),
        ("seed", str(manifest["seed"])),
        ("generations", f"{generations_done(progress):,} of {progress.generations:,}"),
        ("evaluations", f"{progress.evaluated:,}, {progress.failed:,} failed"),
        *([("candidates by blocks", measured(progress.measured))] if progress.measured else []),
        ("genes", f"{len(manifest.get('genes', ())):,}"),
        ("objectives", "; ".join(_objective(objective) for objective in ranking.objectives)),
        *_limits(ranking),
        *_versions(manifest),
    ]


def _objective(objective: Objective) -> str:
    better = "less" if objective.direction is Direction.MINIMISE else "more"
    unit = f" in {plain(objective.unit, 20)}" if objective.unit else ""
    return f"{objective.name}{unit} ({better} is better)"


def _limits(ranking: Ranking) -> list[tuple[str, str]]:
    words = [
        f"{constraint.name} {constraint.sense.value.replace('-', ' ')} {with_unit(constraint.bound, constraint.unit)}"
        for constraint in ranking.constraints
    ]
    return [("constraints", "; ".join(words))] if words else []


def _versions(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the versions that decide whether the run can be repeated."""
    environment = manifest.get("environment", {})
    packages = environment.get("packages", {})
    known = [("emoprune", manifest.get("emoprune")), ("python", environment.get("python"))]
    known += [(name, packages.get(name)) for name in PACKAGES_SHOWN]
    words = ", ".join(f"{name} {plain(version, 40)}" for name, version in known if version)
    return [("versions", words)] if words else []
