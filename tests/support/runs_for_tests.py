"""Runs to look at: a small search over channel widths, played through in memory and told in real records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emoprune import front
from emoprune.contracts import Constraint, Direction, Objective, Passage, Picture, as_minimised
from emoprune.records import Candidate, Evaluation, Front, Generation, Progress, Ran, Split, State, Status, table
from emoprune.run.frames import history_frame, pareto_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HOSTILE", "LATENCY", "Story", "TellableRun", "generation", "progress"]

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m[red]=cmd()\u202e\u2028\n😀"

OBJECTIVES = (
    Objective("error", unit="%", worst=100.0),
    Objective("macs", worst=2_000_000.0),
    Objective("throughput", Direction.MAXIMISE, unit="images/s", worst=0.0),
)
LATENCY = Constraint("latency", bound=9.0, unit="ms")
WIDTHS = np.array([16, 32, 32, 64, 10])
REFERENCES = {0: "unpruned", 1: "uniform-half", 2: "uniform-quarter"}


@dataclass(frozen=True)
class TellableRun:
    """The read side of a run, from plain frames and records."""

    path: Path
    name: str
    manifest: Mapping[str, Any]
    history: pd.DataFrame
    generations: pd.DataFrame
    pareto: pd.DataFrame
    descriptions: Mapping[int, Mapping[str, str | int | float]]
    progress: Progress
    stages: Mapping[str, TellableRun] = field(default_factory=dict)
    marked: Mapping[int, Sequence[Passage]] = field(default_factory=dict)
    pictures: Mapping[int, Picture] = field(default_factory=dict)

    @property
    def objectives(self) -> list[Objective]:
        return [Objective(**plain) for plain in self.manifest["objectives"]]


@dataclass(frozen=True)
class Story:
    """What happens in the run: `tell()` plays it through."""

    objectives: int = 2
    generations: int = 25
    population: int = 40
    measured: bool = True
    constrained: bool = False
    failing: float = 0.02
    name: str = "digits-widths"
    genes: Sequence[str] = ("conv1", "conv2", "conv3", "dense1", "dense2")
    reason: str = "RuntimeError: Calculated padded input size per channel: (2 x 2). Kernel size: (3 x 3)"
    unit: str = "%"
    note: str = "kept widths"
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    @property
    def all_objectives(self) -> tuple[Objective, ...]:
        return (replace(OBJECTIVES[0], unit=self.unit), *OBJECTIVES[1:])[: self.objectives]

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        return (LATENCY,) if self.constrained else ()

    def tell(self) -> TellableRun:
        evaluations: list[Evaluation] = []
        turns = [self._turn(evaluations, index) for index in range(self.generations)]
        again = self._measured_again(evaluations) if self.measured else {}
        pareto = pareto_frame(evaluations, again, REFERENCES, self.all_objectives, self.constraints)
        import pandas as pd

        return TellableRun(
            path=Path("runs") / "folder",
            name=self.name,
            manifest=self._manifest(),
            history=history_frame(evaluations, self.all_objectives, self.constraints),
            generations=pd.DataFrame(turns),
            pareto=pareto,
            descriptions={int(number): self._describe(evaluations[number]) for number in pareto["candidate_id"]},
            progress=progress(
                state=State.FINISHED,
                generation=self.generations - 1,
                generations=self.generations,
                evaluated=len(evaluations),
                pending=0,
                failed=sum(not evaluation.ok for evaluation in evaluations),
                front=int(pareto["rank"].eq(1).sum()),
                hypervolume=turns[-1]["hypervolume"] if turns else None,
            ),
        )

    def _manifest(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "created": "2026-11-23T14:05:07.000000+00:00",
            "problem": "digits",
            "seed": 3,
            "objectives": [
                {"name": each.name, "direction": each.direction.value, "unit": each.unit, "worst": each.worst}
                for each in self.all_objectives
            ],
            "constraints": [
                {"name": each.name, "bound": each.bound, "unit": each.unit, "sense": each.sense.value}
                for each in self.constraints
            ],
            "genes": [
                {"name": name, "levels": int(width), "kind": "ordered"}
                for name, width in zip(self.genes, WIDTHS, strict=True)
            ],
            "references": [{"name": name, "candidate": number} for number, name in REFERENCES.items()],
            "reference_point": {each.name: each.worst for each in self.all_objectives},
        }

    def _turn(self, evaluations: list[Evaluation], index: int) -> dict[str, Any]:
        born = self._offspring(evaluations, index)
        evaluations += [self._evaluate(candidate, Split.SEARCH) for candidate in born]
        ok = [evaluation for evaluation in evaluations if evaluation.ok]
        values = as_minimised(self._table(ok), self.all_objectives)
        point = as_minimised(np.array([each.worst for each in self.all_objectives]), self.all_objectives)
        best = values[front.non_dominated(values)]
        ids = [ok[row].candidate.id for row in np.flatnonzero(front.non_dominated(values))]
        extremes = as_minimised(values.min(axis=0), self.all_objectives).tolist() if len(values) else []
        return {
            "generation": index,
            "evaluated": len(evaluations),
            "failed": len(evaluations) - len(ok),
            "born": len(born),
            "front": ids,
            "hypervolume": front.hypervolume(best, point),
            **{f"best.{each.name}": value for each, value in zip(self.all_objectives, extremes, strict=False)},
            "seconds": 2.5 * (index + 1),
            "ended": None,
        }

    def _offspring(self, evaluations: Sequence[Evaluation], index: int) -> list[Candidate]:
        if index == 0:
            references = [WIDTHS - 1, WIDTHS // 2 - 1, WIDTHS // 4 - 1]
            genomes = [*references, *self.rng.integers(0, WIDTHS, (self.population - 3, len(WIDTHS)))]
            return [Candidate(number, genome, 0, "sampled") for number, genome in enumerate(genomes)]
        ok = [evaluation for evaluation in evaluations if evaluation.ok] or list(evaluations)
        values = as_minimised(self._table(ok), self.all_objectives)
        chosen = np.flatnonzero(front.non_dominated(values)) if np.isfinite(values).all() else np.arange(len(ok))
        parents = [ok[row].candidate for row in self.rng.choice(chosen, self.population)]
        steps = self.rng.integers(-3, 4, (self.population, len(WIDTHS)))
        return [
            Candidate(len(evaluations) + row, np.clip(p.genome + step, 0, WIDTHS - 1), index, "by-kind", (p.id,))
            for row, (p, step) in enumerate(zip(parents, steps, strict=True))
        ]

    def _evaluate(self, candidate: Candidate, split: Split) -> Evaluation:
        fails = self.rng.random() < self.failing and (candidate.id not in REFERENCES or self.failing == 1)
        ran = Ran(f"worker-{candidate.id % 2}", 0.25)
        if fails:
            return Evaluation(candidate, split, Status.ERROR, {}, 7, ran, self.reason)
        return Evaluation(candidate, split, Status.OK, self._measure(candidate.genome), 7, ran)

    def _measure(self, genome: NDArray[np.int64]) -> dict[str, float]:
        width = (genome + 1) / WIDTHS
        lost = float((np.array([9.0, 6.0, 5.0, 3.0, 22.0]) * (1 - width) ** 2).sum())
        macs = 64 * 9 * float((genome[:-1] + 1) @ (genome[1:] + 1))
        known = {
            "error": round(1.67 + lost + abs(self.rng.normal(0, 0.15)), 2),
            "macs": macs,
            "throughput": round(4e7 / (macs + 2e4) + 40 * self.rng.random(), 1),
            "latency": round(2 + macs / 2e5, 3),
        }
        names = [each.name for each in self.all_objectives] + [each.name for each in self.constraints]
        return {name: known[name] for name in names}

    def _measured_again(self, evaluations: Sequence[Evaluation]) -> dict[tuple[int, Split], Evaluation]:
        frame = pareto_frame(evaluations, {}, REFERENCES, self.all_objectives, self.constraints)
        members = [evaluations[number] for number in frame["candidate_id"] if evaluations[number].ok]
        return {
            (member.candidate.id, split): replace(
                member, split=split, values={**member.values, **self._shifted(member.values, split)}
            )
            for member in members
            for split in (Split.SELECT, Split.TEST)
        }

    def _shifted(self, values: Mapping[str, float], split: Split) -> dict[str, float]:
        """Measure the error on other data: a little worse than what the search saw."""
        return {"error": round(values["error"] + 0.2 + 0.3 * self.rng.random(), 2)}

    def _table(self, evaluations: Sequence[Evaluation]) -> NDArray[np.float64]:
        return table(evaluations, [each.name for each in self.all_objectives])

    def _describe(self, evaluation: Evaluation) -> dict[str, str | int | float]:
        widths = evaluation.candidate.genome + 1
        kept = " ".join(f"{name} {width}" for name, width in zip(self.genes, widths, strict=True))
        return {self.note: kept, "channels": int(widths.sum()), "share": round(float(widths.sum() / WIDTHS.sum()), 3)}


def progress(**members: Any) -> Progress:
    """Return a snapshot of a search half-way, with `members` replaced."""
    half_way = Progress(
        state=State.RUNNING,
        phase="search",
        generation=12,
        generations=25,
        evaluated=480,
        pending=8,
        failed=3,
        retried=1,
        front=23,
        hypervolume=0.81234567,
        change=0.0012,
        best={"error": 1.67, "macs": 123456.0},
        per_second=12.34,
        seconds=83.0,
        remaining=130.0,
        workers=2,
        updated="2026-11-23T14:06:30+00:00",
        host="laptop",
        pid=4711,
    )
    return replace(half_way, **members)


def generation(index: int, **members: Any) -> Generation:
    """Return a finished generation with a front of two, with `members` replaced."""
    ids = np.array([3, 4])
    values = np.array([[1.67, 5e5], [4.0, 1e5]])
    plain = Generation(
        index=index,
        front=Front(ids, np.zeros((2, 5), dtype=np.int64), values),
        population=ids.copy(),
        hypervolume=0.5 + 0.01 * index,
        evaluated=40 * (index + 1),
        failed=1,
        born=40,
        seconds=2.5 * (index + 1),
        best={"error": 1.67, "macs": 1e5},
    )
    return replace(plain, **members)
