"""The stages of a search: run side by side on the same workers, each a run of its own, until the problem is ready."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.config import SearchSettings, recorded, stage_settings
from emoprune.contracts import Problem
from emoprune.contracts.stages import Concluded, Next, Stage, Staged
from emoprune.errors import EvaluationsFailed, RunCorrupt
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.tickets import Ticket
from emoprune.loop.checks import check_problem, check_unchanged, facts_of
from emoprune.loop.session import Session, Work
from emoprune.records import Generation, State
from emoprune.run import Run
from emoprune.run.beginning import environment, new_run
from emoprune.run.heartbeat import Heartbeat, continuing, watched
from emoprune.run.recorder import Recorder
from emoprune.storage import write_sealed

__all__ = ["STAGES", "Measuring", "Staging", "side_by_side"]

Measuring = Callable[[Sequence[Ticket]], Iterator[Sequence[Finished]]]
Steps = Generator[Work | Generation]

log = logging.getLogger(__name__)

FOLDER = "stages"  # of their runs, in the run of the whole
STAGES = "stages"  # the phase in which they are measured


def side_by_side(steps: Mapping[str | None, Iterator[Work | Generation]], measuring: Measuring) -> Iterator[Generation]:
    """Let several searches take their steps together: what all of them want measured next goes out at once.

    Args:
        steps: Of each search, by the stage that its tickets name.
        measuring: Measures tickets, in any order, in pieces.
    """
    going = dict(steps)
    while going:
        works: dict[str | None, Work] = {}
        for name in list(going):
            for step in going[name]:
                if isinstance(step, Work):
                    works[name] = step
                    break
                yield step
            else:
                del going[name]
        tickets = [ticket for work in works.values() for ticket in work.tickets]
        for piece in measuring(tickets) if tickets else ():
            for name, own in _by_stage(piece):
                works[name].take(own)


def _by_stage(piece: Sequence[Finished]) -> Iterable[tuple[str | None, list[Finished]]]:
    ordered = sorted(piece, key=lambda finished: finished.ticket.stage or "")
    return ((name, list(own)) for name, own in itertools.groupby(ordered, key=lambda each: each.ticket.stage))


@dataclass(slots=True, eq=False)
class Staging:
    """Everything that comes before the search of a staged problem itself.

    Args:
        problem: Prepared.
        settings: The config's, which stages start from.
        recorder: Of the whole run.
        heartbeat: Of the whole run.
        stopping: Whether the search is asked to stop.
        start: Gives the problem, as it is now, to the workers.
        measuring: Measures tickets there.
    """

    problem: Staged
    settings: SearchSettings
    recorder: Recorder
    heartbeat: Heartbeat
    stopping: Callable[[], bool]
    start: Callable[[], None]
    measuring: Measuring
    warnings: list[str] = field(default_factory=list)

    def generations(self) -> Iterator[Generation]:
        """Run wave after wave of stages; afterwards the problem itself can be searched, unless `stopping`."""
        concluded: dict[str, Concluded] = {}
        known = Next()
        while not self.stopping():
            self.heartbeat.update(phase="between stages" if concluded else "preparing")
            known = _joined(known, self.problem.following(concluded, self._material, self.settings.seed))
            self._write(known)
            wave = [stage for stage in known.stages if stage.name not in concluded]
            if not wave:
                return
            yield from self._wave(wave)
            if not self.stopping():
                concluded |= {stage.name: _concluded(Run(self._folder(stage)), stage.problem) for stage in wave}

    @property
    def _material(self) -> Path:
        return self.recorder.path / "problem"

    def _folder(self, stage: Stage) -> Path:
        return self.recorder.path / FOLDER / stage.name

    def _write(self, known: Next) -> None:
        """Keep, for people and reports, which stages there are and what was concluded from them."""
        plain = {
            "schema_version": 1,
            "stages": [stage.name for stage in known.stages],
            "tables": {title: [dict(row) for row in rows] for title, rows in known.tables.items()},
            "notes": list(known.notes),
        }
        write_sealed(self.recorder.path / "stages.json", plain, indent=1)

    def _wave(self, wave: Sequence[Stage]) -> Iterator[Generation]:
        """Run some stages side by side, those that are not finished yet."""
        with ExitStack() as stack:
            steps: dict[str | None, Steps] = {}
            for stage in wave:
                folder = self._folder(stage)
                if (folder / "manifest.json").is_file() and _over(Run(folder)):
                    self._note(stage.name, Run(folder).progress.message or "finished")
                    continue
                steps[stage.name] = self._steps(stage, stack)
            if not steps:
                return
            self.heartbeat.update(phase="starting workers")
            self.start()
            self.heartbeat.update(phase=STAGES)
            for generation in side_by_side(steps, self.measuring):
                self._note(str(generation.stage), _words(generation))
                yield generation

    def _steps(self, stage: Stage, stack: ExitStack) -> Steps:
        """Open a stage's own run, and return the steps of its search."""
        recorder = stack.enter_context(self._recorder(stage))
        check_problem(stage.problem)
        check_unchanged(stage.problem, recorder.run)
        recorder.update_manifest(**facts_of(stage.problem, recorder.run))
        settings = recorded(SearchSettings, recorder.run.config["search"], recorder.path)
        first = continuing(recorder.progress_before, settings.generations)
        heartbeat = stack.enter_context(Heartbeat(first, recorder.write_progress))
        session = Session(
            settings,
            stage.problem,
            recorder=recorder,
            heartbeat=heartbeat,
            stopping=self.stopping,
            clock=lambda: self.heartbeat.seconds,
            stage=stage.name,
        )
        steps = watched(heartbeat, self._forgiven(stage.name, session), self.stopping, lambda: session.ended)
        stack.callback(steps.close)  # before heartbeat and recorder, so that its last state can still be written
        return steps

    def _forgiven(self, name: str, session: Session) -> Steps:
        """Let a stage in which everything fails end without ending the others."""
        try:
            yield from session.steps()
        except EvaluationsFailed as error:
            session.ended = f"failed: {error}"
            self._note(name, session.ended)
            self.warnings.append(f"stage {name}: {error}")
            log.warning("%s", self.warnings[-1])

    def _recorder(self, stage: Stage) -> Recorder:
        folder = self._folder(stage)
        if (folder / "manifest.json").is_file():
            return Recorder(folder)
        whole = self.recorder.run
        settings = stage_settings(self.settings, stage.settings, stage.name)
        resolved = {**whole.config, "search": settings.model_dump(mode="json")}
        manifest: dict[str, Any] = {"emoprune": whole.manifest.get("emoprune"), "environment": environment()}
        manifest |= {"problem": whole.manifest["problem"], "stage": stage.name, "seed": settings.seed}
        manifest |= {"references": [], "reference_point": None, "sessions": []}
        files = {"config.resolved.json": json.dumps(resolved, indent=2, allow_nan=False) + "\n"}
        return Recorder(new_run(folder.parent, stage.name, stage.name, manifest=manifest, files=files))

    def _note(self, name: str, words: str) -> None:
        self.heartbeat.update(stages={**self.heartbeat.progress.stages, name: words})


def _joined(known: Next, following: Next) -> Next:
    return Next(
        [*known.stages, *following.stages],
        {**known.tables, **following.tables},
        [*known.notes, *following.notes],
    )


def _over(run: Run) -> bool:
    try:
        return run.progress.state is State.FINISHED
    except RunCorrupt:  # then it is gone through again, which pays for nothing, and rewritten
        return False


def _words(generation: Generation) -> str:
    return (
        f"generation {generation.index}, {generation.evaluated:,} evaluations, front {len(generation.front)}, "
        f"hypervolume {generation.hypervolume:.5g}"
    )


def _concluded(run: Run, problem: Problem) -> Concluded:
    """Return what a finished stage found, from its run's folder."""
    genomes = {each.candidate.id: each.candidate.genome for each in run.evaluations()}
    frame = run.pareto
    frame = frame[frame["status"] == "ok"].sort_values("candidate_id")
    names = [objective.name for objective in problem.objectives]
    ids = frame["candidate_id"].to_numpy(dtype=np.int64)
    message = run.progress.message or ""
    return Concluded(
        ids,
        np.array([genomes[number] for number in ids.tolist()], dtype=np.int64).reshape(len(ids), len(problem.space)),
        frame[[f"obj.{name}" for name in names]].to_numpy(dtype=np.float64),
        frame[[f"select.{name}" for name in names]].to_numpy(dtype=np.float64),
        tuple(frame["name"]),
        message.removeprefix("failed: ") if message.startswith("failed: ") else None,
    )
