"""Searches of what a network keeps, whole and part by part, as a trace: what was asked, what it gave, what it cost."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import emoprune
from emoprune.contracts import Failure
from emoprune.errors import ContractError
from emoprune.front import hypervolume, non_dominated
from emoprune.problems.networks.channels.options import ChannelOptions
from emoprune.problems.networks.channels.prepare import Method, prepared_channels
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.subnetworks.chain import Chain
from emoprune.problems.networks.subnetworks.choices import Choices
from emoprune.problems.networks.subnetworks.division import SubNetwork
from emoprune.problems.networks.subnetworks.genes import GeneForm, PartGenes
from emoprune.problems.networks.subnetworks.parts import Crossing, Cut, Parts, Rest
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.unpruned.by_name import network_named
from emoprune.records import Evaluation, Split
from emoprune.run import Run
from emoprune.space import IntArray
from shared.landscapes import FloatArray

__all__ = ["Answers", "Judge", "Plan", "Trace", "divided_trace", "run_name"]

WIDTHS = 16
CRITERION = "lasso"
JOINT = 2  # the phase after the parts' searches and the second measuring of their fronts
SAME = 0.003  # of the errors of one network in two processes of the search split: a borderline image or two
BoolArray = NDArray[np.bool_]
Genes = Literal["levels", "units"]
Answers = list[FloatArray]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a network is divided, and how long its parts and the choice among them are searched."""

    parts: int
    crossing: Crossing
    rest: Rest
    part_population: int
    part_generations: int
    population: int
    generations: int
    joint: Literal["members", "genes"] = "members"
    part_images: int | None = None  # None for all search images


class Judge:
    """A trained network that measures what is kept of it, all batch norms estimated anew, and says what that costs.

    It is the network that searches with this seed train and prune. With a memory it is shared by all of them; without,
    every question is computed, for who is timed.
    """

    def __init__(self, network: str, data: str, calibrating: int, genes: Genes, seed: int, *, remembers: bool) -> None:
        self.network, self.data, self.genes, self.calibrating, self.seed = network, data, genes, calibrating, seed
        options = ChannelOptions(
            network=network, data=data, calibration_images=calibrating, criterion=CRITERION, references=()
        )
        self._task = NetworkTask(options)
        structure = self._task.structure
        with tempfile.TemporaryDirectory() as folder:
            self._task.prepare(Path(folder), seed)
            levels = WidthLevels.of(structure.groups, WIDTHS)
            made = prepared_channels(self._task, levels, Method.of(options), Path(folder), seed)
        self._held = self._task.load("cpu", 1)
        self._slicer = Slicer(self._held.bench, made.scores)
        self._scores = made.scores
        self._known: dict[tuple[Split, bytes], list[float]] | None = {} if remembers else None
        self.full = structure.full
        self._chain = Chain.of(network_named(network).eval(), structure)
        self._scored = len(self._task.data.part(Split.SEARCH))
        self._worst = np.array([1.0, self._task.measures.unpruned["macs"]])

    @cached_property
    def whole(self) -> PartGenes:
        """The genes of the whole network."""
        return self._cut(1, "whole").every_gene(self._scores)

    def _cut(self, parts: int, crossing: Crossing) -> Parts:
        form = GeneForm(self.genes, WIDTHS, 1, 0.0)
        return Parts.of(self._task, network_named(self.network).eval(), form, Cut(parts, (), crossing, "frozen"))

    def parts(self, plan: Plan) -> dict[str, tuple[SubNetwork, PartGenes]]:
        """Return the parts that the problem makes, by name, each with its genes."""
        made = self._cut(plan.parts, plan.crossing).problems(self._scores, {})
        return {name: (each.part, each.genes) for name, each in made.items()}

    def rows(self, kept: Sequence[Kept], split: Split) -> FloatArray:
        """Return error and multiply-accumulates of networks with these units, shape (n, 2)."""
        keys = [(split, b"|".join(units.tobytes() for units in own)) for own in kept]
        found = {} if self._known is None else self._known
        for key, own in zip(keys, kept, strict=True):
            if key not in found:
                counted = self._task.counted(_widths(own))
                (row,) = self._held.rows([self._slicer.variant_of(own)], [counted], split)
                if isinstance(row, Failure):
                    raise ValueError(row.reason)
                found[key] = [float(value) for value in row]
        return np.array([found[key] for key in keys])

    def volume(self, kept: Sequence[Kept], values: FloatArray) -> float:
        """Return the hypervolume on the test split of the front by `values`, (n, 2), as a share of the whole box."""
        if not len(kept):
            return 0.0
        front = [kept[row] for row in np.flatnonzero(non_dominated(values)).tolist()]
        return hypervolume(self.rows(front, Split.TEST) / self._worst, np.ones(2))

    def cost(
        self,
        kept: Sequence[Kept],
        part: SubNetwork | None = None,
        *,
        rest: str = "frozen",
        calibrates: bool = True,
        images: int | None = None,
    ) -> FloatArray:
        """Return the multiply-accumulates that measuring networks with these units takes, (n,).

        Of a part alone: what comes before it is kept, so that its images pass through it and what follows, and the
        calibration images through the part, and through what follows if its statistics are wanted, too (adapted).
        `images` says how many search images those are, None that all are.
        """
        widths = np.concatenate([_widths(own) for own in kept])
        by_layer = self._task.cost_model.macs_by_part(widths).astype(np.float64)
        places = np.array([self._chain.ends[each.path] for each in self._task.structure.weighted])
        begin = -1 if part is None or part.begin is None else part.begin.position
        end = np.inf if part is None or part.end is None else part.end.position
        scored = by_layer[:, places > begin].sum(axis=1) * (self._scored if images is None else images)
        last = end if rest == "frozen" else np.inf
        calibrated = by_layer[:, (places > begin) & (places <= last)].sum(axis=1) * self.calibrating
        return np.asarray(scored + calibrated * calibrates)


def _widths(kept: Kept) -> IntArray:
    return np.array([[len(units) for units in kept]], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Networks in the order in which they were measured: the units kept, what was measured, what had been spent then.

    `values` has shape (n, 2), error and multiply-accumulates on the search split; `whole` says which were measured as
    whole networks, and not as parts of one; `spent` counts multiply-accumulates computed for images, `seconds` those of
    measuring, both rising. These have shape (n,).
    """

    kept: Sequence[Kept]
    values: FloatArray
    whole: BoolArray
    spent: FloatArray
    seconds: FloatArray

    @classmethod
    def timed(cls, judge: Judge, batches: Iterator[list[Kept]], answers: Answers) -> Trace:
        """Return the trace of a search that asks for batches; each one's values go to `answers` before the next."""
        kept: list[Kept] = []
        values, seconds = [np.zeros((0, 2))], [np.zeros(0)]
        for batch in batches:
            begun = time.perf_counter()
            rows = judge.rows(batch, Split.SEARCH)
            seconds.append(np.full(len(batch), (time.perf_counter() - begun) / len(batch)))
            kept += batch
            values.append(rows)
            answers.append(rows)
        whole = np.ones(len(kept), dtype=np.bool_)
        spent, passed = np.cumsum(judge.cost(kept)), np.cumsum(np.concatenate(seconds))
        return cls(kept, np.concatenate(values), whole, spent, passed)

    def volume(self, judge: Judge, known: BoolArray) -> float:
        """Return the hypervolume on the test split of the front among what was known.

        Parts' errors are of other images and statistics: once whole networks are known, they alone count.
        """
        known = known & self.whole if (known & self.whole).any() else known
        return judge.volume([self.kept[row] for row in np.flatnonzero(known).tolist()], self.values[known])


def run_name(plan: Plan, seed: int) -> str:
    """Return what the run of a plan is called."""
    return f"{plan.parts}-{plan.crossing}-{plan.rest}-{plan.joint}-{seed}"


def divided_trace(judge: Judge, plan: Plan, runs: Path) -> Trace:
    """Return the trace of a search part by part, all parts side by side in this process, then the joint one."""
    settings: dict[str, Any] = {
        "problem": {
            "name": "subnetworks",
            "network": judge.network,
            "data": judge.data,
            "calibration_images": judge.calibrating,
            "widths": WIDTHS,
            "criterion": CRITERION,
            "genes": judge.genes,
            "parts": plan.parts,
            "crossing": plan.crossing,
            "rest": plan.rest,
            "joint": plan.joint,
            "part_images": plan.part_images,
            "references": [],
            "part_search": {
                "population": plan.part_population,
                "generations": plan.part_generations,
            },
        },
        "search": {
            "population": plan.population,
            "generations": plan.generations,
            "seed": judge.seed,
            "grades": "none",
        },
        "evaluation": {"backend": "serial", "time_limit": None},
    }
    searching = emoprune.search(settings, runs=runs, name=run_name(plan, judge.seed))
    for _ in searching:
        pass
    steps = sorted(_steps(searching.run, judge, plan), key=lambda step: step.order)
    spent, seconds = np.cumsum([step.spent for step in steps]), np.cumsum([step.seconds for step in steps])
    rows = [place for place, step in enumerate(steps) if step.values is not None]
    values = np.array([steps[place].values for place in rows], dtype=np.float64)
    whole = np.array([plan.parts == 1 or steps[place].order[0] == JOINT for place in rows])
    trace = Trace([steps[place].kept for place in rows], values, whole, spent[rows], seconds[rows])
    last = trace.kept[-1:]  # of the joint search, whose networks are measured as the judge measures them
    if not np.allclose(judge.rows(last, Split.SEARCH), trace.values[-1:], atol=SAME):
        raise ContractError("the judge measures another network than the search did")
    return trace


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """One measurement: when it came in the search, of what, and what it took."""

    order: tuple[int, int, int]
    kept: Kept
    values: tuple[float, float] | None  # None for what only ranks: the fronts measured again on select
    spent: float
    seconds: float


def _steps(run: Run, judge: Judge, plan: Plan) -> Iterator[_Step]:
    """Return what was measured: the parts' searches, their fronts again, then the search that follows."""
    parts = judge.parts(plan)
    for number, (name, stage) in enumerate(run.stages.items()):
        part, genes = parts[name]
        for phase, evaluations in enumerate((stage.evaluations(), [*stage.remeasured().values()])):
            done = [each for each in evaluations if each.ok]
            kept = [_completed(judge.full, part, genes.kept(each.candidate.genome)) for each in done]
            images = plan.part_images if phase == 0 else None
            costs = judge.cost(kept, part, rest=plan.rest, calibrates=phase == 0, images=images).tolist()
            if plan.parts == 1 and phase == 1:
                return  # all that follows the search of the whole network is the same networks again
            for each, own, cost in zip(done, kept, costs, strict=True):
                values = _values(each) if phase == 0 else None
                yield _Step((phase, each.candidate.generation, number), own, values, cost, each.ran.seconds)
    choices = Choices.load(run.path / "problem" / "choices.json")
    joint = [each for each in run.evaluations() if each.ok]
    genomes = [each.candidate.genome for each in joint]
    of_genes = judge.whole.kept if plan.joint == "genes" else lambda genome: choices.kept(genome, judge.full)
    kept = [of_genes(genome) for genome in genomes]
    for each, own, cost in zip(joint, kept, judge.cost(kept).tolist(), strict=True):
        yield _Step((JOINT, each.candidate.generation, 0), own, _values(each), cost, each.ran.seconds)


def _completed(full: Kept, part: SubNetwork, own: Kept) -> Kept:
    """Return the units of a whole network in which one part is pruned."""
    whole = list(full)
    for group, units in zip(part.groups, own, strict=True):
        whole[group] = units
    return whole


def _values(evaluation: Evaluation) -> tuple[float, float]:
    return evaluation.values["error"], evaluation.values["macs"]
