"""The verb: a search to iterate over, that can be stopped, killed and resumed; its loop is in session.py."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emoprune import config as configs
from emoprune.config import Config
from emoprune.contracts import Choosing, Problem
from emoprune.contracts.stages import Staged
from emoprune.errors import ConfigError
from emoprune.evaluation.backends import Backend, Finished
from emoprune.evaluation.tickets import Ticket
from emoprune.loop.build import build_backend, build_problem
from emoprune.loop.checks import check_problem
from emoprune.loop.earlier import config_of, own_bounds
from emoprune.loop.session import STOPPED, Session
from emoprune.loop.stages import STAGES, Staging, side_by_side
from emoprune.loop.start import (
    check_early,
    describe_in_manifest,
    former_fronts,
    kept_fronts,
    prepare,
    sign_in_manifest,
)
from emoprune.loop.trust import check_places, trusted, without_places
from emoprune.plugins import GIVEN, importable_from, is_given
from emoprune.records import Generation, Progress, Split
from emoprune.run import Run, open_run
from emoprune.run.beginning import check_free, environment, new_run
from emoprune.run.heartbeat import Heartbeat, continuing, starting, watched
from emoprune.run.links import refuse_links
from emoprune.run.recorder import Recorder
from emoprune.storage import content_of

__all__ = ["Search", "resume", "search"]

log = logging.getLogger(__name__)

MEASURING = {*(split.value for split in Split), STAGES}  # phases


def search(
    config: Config | str | Path | Mapping[str, Any],
    *,
    overrides: Sequence[str] = (),
    problem: Problem | None = None,
    runs: str | Path = "runs",
    name: str | None = None,
) -> Search:
    """Return a search to iterate over; the first step creates the run's folder.

    Args:
        config: A path to YAML, an example's name, a mapping, or a checked Config.
        overrides: `search.generations=60` and the like, applied over the config.
        problem: A problem as an object, instead of the config's.
        runs: The folder in which the run's folder is made.
        name: The run's name; by default a date, the problem's name and a random suffix.

    Raises:
        TrustError: The name could leave `runs`.
        ConfigError: A run of that name exists, or everything that is wrong with the config, at once.
    """
    check_free(name, Path(runs))
    if not isinstance(config, Config):
        if problem is not None and isinstance(config, Mapping):
            config = {**config, "problem": {"name": f"{GIVEN}:{type(problem).__name__}"}}
        config = configs.load(config, overrides, problem_given=problem is not None)
    return Search(config, runs=Path(runs), name=name, problem=problem)


def resume(
    run: str | Path | Run,
    *,
    overrides: Sequence[str] = (),
    problem: Problem | None = None,
    trust_code: bool = False,
) -> Search:
    """Return a search that goes on where the run's last checkpoint and history end.

    Args:
        run: The run, its folder, or `<runs>/latest`.
        overrides: What may change: `search.generations`, `search.evaluations`, `search.time_limit`, `evaluation.*`, and
            bounds of the problem's own.
        problem: The problem again, for a run that was given one as an object.
        trust_code: Import the code a run names even though it is not known to be this user's own, and make it that.

    Raises:
        RunNotFound, RunCorrupt: There is no such run, or it cannot be read.
        ConfigError: Something else than the budget or the resources would change, or its config.yaml was edited.
        TrustError: The run names code to import, or a cluster, and is not known to be this user's, or a symbolic link
            lies in it.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    refuse_links(opened.path)
    opened.check_whole("resume")
    trust = trusted(opened, trust_code=trust_code)
    before = config_of(opened)
    folders = opened.code_folders if trust else []
    _check_given(opened)
    given = problem is not None
    config, unchanged = (
        configs.load(before, changes, folders=folders, problem_given=given) for changes in (overrides, ())
    )
    if not trust:
        mine = configs.load(without_places(before), overrides, folders=folders, problem_given=given)
        check_places(opened, config.evaluation, mine.evaluation)
    # Loaded as well, so that an option which there was not yet when the run began has its default on both sides.
    configs.check_resume(configs.resolved(unchanged), configs.resolved(config), own_bounds(config.problem.name))
    done = len(opened.generation_lines())
    if config.search.generations < done:
        raise ConfigError(
            f"search.generations: expected at least {done}, which run {opened.name} has done already, "
            f"found {config.search.generations}"
        )
    if is_given(config.problem.name) and not given:
        raise ConfigError(
            f"run {opened.name} was given its problem as an object ({config.problem.name}); "
            "resume it from Python: emoprune.resume(path, problem=...)"
        )
    return Search(
        config,
        runs=opened.path.parent,
        name=opened.name,
        problem=problem,
        resumed=opened,
        trusted=trust,
        changed=configs.resolved(unchanged) != configs.resolved(config),
    )


def _check_given(run: Run) -> None:
    """Refuse to resume as if the config's text, which a resume does not read, had not been edited.

    Raises:
        ConfigError: It says something else than when the run was begun.
    """
    path = run.path / "config.yaml"
    words = configs.edited(path, content_of(path), run.manifest.get("given")) if path.exists() else None
    if words is not None:
        raise ConfigError(words)


class Search:
    """One search: iterate to run it, `stop()` to end it early, `progress` and `run` to look at it meanwhile."""

    def __init__(
        self,
        config: Config,
        *,
        runs: Path = Path("runs"),
        name: str | None = None,
        problem: Problem | None = None,
        resumed: Run | None = None,
        trusted: bool = True,
        changed: bool = False,
    ) -> None:
        self.config = config
        self.ended: str | None = None
        self._runs = runs
        self._name = name
        self._given = problem
        self._resumed = resumed
        self._trusted = trusted
        self._changed = changed  # in its settings, since it was last worked on
        self._recorder: Recorder | None = None
        self._heartbeat: Heartbeat | None = None
        self._stopping = False
        self._standing = False  # workers, with the problem as it is
        self._iterated = False
        self.chooses = False  # whether the problem finds the best candidate by its own evidence

    @property
    def run(self) -> Run:
        """The run as its readers see it; there is one as soon as the first generation was asked for.

        Raises:
            RuntimeError: The iteration has not begun.
        """
        if self._recorder is None:
            raise RuntimeError("the search has no run yet: iterate over it first")
        return self._recorder.run

    @property
    def progress(self) -> Progress:
        """Where the search stands at this moment; safe to read from another thread."""
        return starting(self.config.search.generations) if self._heartbeat is None else self._heartbeat.progress

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the run's files: a torn line cut off, a damaged checkpoint passed over."""
        return () if self._recorder is None else tuple(self._recorder.warnings)

    @property
    def stopped(self) -> bool:
        """Whether `stop()` was called."""
        return self._stopping

    @property
    def measuring(self) -> bool:
        """Whether candidates are being measured: then a stop lets those under way be finished and written down."""
        return self.progress.phase in MEASURING

    def stop(self) -> None:
        """Ask for an early end: what is under way is finished and written down, nothing new is begun."""
        self._stopping = True

    def __iter__(self) -> Generator[Generation]:
        """Run the search; may be done once."""
        if self._iterated:
            raise RuntimeError("this search was iterated already; `emoprune.resume(search.run)` continues it")
        self._iterated = True
        with ExitStack() as stack:
            stack.enter_context(importable_from(*self.config.origin.folders))
            problem = build_problem(self.config) if self._given is None else self._given
            self.chooses = isinstance(problem, Choosing)
            if self._resumed is not None:  # the lock comes first: a second process is turned away at once
                self._recorder = Recorder(self._resumed.path)
                stack.enter_context(self._recorder.locked())
            else:
                check_early(self.config, problem, self._runs, self._name)
            before = self._checked(problem)
            backend = build_backend(self.config.evaluation, self.config.origin.folders)
            stack.callback(backend.close)
            backend.open()
            if before is not None and self._heartbeat is not None and before.wants_workers():
                self._start(backend, problem, self._heartbeat)  # where they do not come, the run stays as it is
            if self._recorder is None:  # a run folder appears only when the workers can be had
                self._recorder = self._new_run()
            recorder = stack.enter_context(self._recorder)  # nothing of a resumed run is written before
            heartbeat = self._heartbeat = stack.enter_context(self._heartbeat or self._beating(recorder))
            generations = self._generations(problem, backend, recorder, heartbeat, before)
            yield from watched(heartbeat, generations, lambda: self._stopping, lambda: self.ended)
        if self._changed and not self._standing and not self._stopping:
            log.warning("nothing was left to measure; the settings given are kept for what comes next")

    def _beating(self, recorder: Recorder) -> Heartbeat:
        return Heartbeat(continuing(recorder.progress_before, self.config.search.generations), recorder.write_progress)

    def _checked(self, problem: Problem) -> Session | None:
        """Find out whether a run that was described can go on with the problem; return its session, restored.

        Everything that a resume can be refused for comes to light here, and nothing of the run has been written. None
        for a new run, and for one that was stopped before it was known what is searched.
        """
        if self._recorder is None or "genes" not in self._recorder.run.manifest:
            return None
        recorder, settings = self._recorder, self.config.search
        prepare(problem, recorder, settings.seed)
        check_problem(problem)
        if not recorder.checkpoints and recorder.kept_starts() is None:
            former_fronts(settings, problem, recorder.path.parent)
        self._heartbeat = self._beating(recorder)
        session = self._session(problem, recorder, self._heartbeat)
        session.restore()
        return session

    def _session(self, problem: Problem, recorder: Recorder, heartbeat: Heartbeat) -> Session:
        settings = self.config.search
        return Session(settings, problem, recorder=recorder, heartbeat=heartbeat, stopping=lambda: self._stopping)

    def _start(self, backend: Backend, problem: Problem, heartbeat: Heartbeat) -> None:
        """Give the workers the problem as it is now, and go on with what was under way."""
        phase = heartbeat.progress.phase
        heartbeat.update(phase="starting workers")
        backend.start(problem)
        heartbeat.update(phase=phase)
        self._standing = True

    def _generations(
        self, problem: Problem, backend: Backend, recorder: Recorder, heartbeat: Heartbeat, before: Session | None
    ) -> Iterator[Generation]:
        """Prepare the problem, start the workers, then run the session, `before` if it is restored already.

        A session that was restored has its workers already, or wants none.
        """
        heartbeat.update(phase="preparing")
        sign_in_manifest(recorder, self._facts(backend))
        if before is None:
            prepare(problem, recorder, self.config.search.seed)
        recorder.write_resolved(configs.resolved(self.config), sign=self._trusted)

        def start() -> None:
            self._start(backend, problem, heartbeat)

        def measuring(tickets: Sequence[Ticket]) -> Iterator[Sequence[Finished]]:
            if not self._standing:
                start()
            heartbeat.update(workers=backend.workers)
            return backend.run(tickets, lambda: self._stopping)

        if isinstance(problem, Staged):
            staging = Staging(
                problem,
                self.config.search,
                recorder,
                heartbeat,
                stopping=lambda: self._stopping,
                start=start,
                measuring=measuring,
            )
            yield from staging.generations()
            recorder.warnings += staging.warnings
        if self._stopping:
            self.ended = STOPPED
            return
        describe_in_manifest(problem, recorder)
        if not recorder.checkpoints:
            kept_fronts(self.config.search, problem, recorder)
        if before is None or (isinstance(problem, Staged) and self._standing):
            start()
        if before is None or isinstance(problem, Staged):  # what its stages led to may have been made again since
            before = self._session(problem, recorder, heartbeat)
        yield from side_by_side({None: before.steps()}, measuring)
        self.ended = before.ended

    def _facts(self, backend: Backend) -> dict[str, Any]:
        """Return who works on the run from now on, and with what."""
        settings = self.config.evaluation
        facts = {**environment(), "workers": settings.workers, "backend": settings.backend, "address": backend.address}
        return {**facts, "generations": self.config.search.generations}

    def _new_run(self) -> Recorder:
        plain = re.sub(r"[^A-Za-z0-9._-]", "-", self.config.problem.name.rpartition(":")[2])
        label = self.config.name or plain.lower()[:32]
        manifest = {"emoprune": environment()["packages"].get("emoprune"), "environment": environment()}
        manifest |= {"problem": self.config.problem.name, "seed": self.config.search.seed}
        manifest |= {"references": [], "reference_point": None, "sessions": []}
        origin = self.config.origin
        if configs.import_targets(configs.resolved(self.config)) and origin.folders:
            # Relative to the run, because both may move together.
            manifest["code_folder"] = os.path.relpath(origin.folders[0], self._runs / "any-run")
        resolved = json.dumps(configs.resolved(self.config), indent=2, allow_nan=False) + "\n"
        files = {"config.yaml": configs.as_yaml(self.config), "config.resolved.json": resolved}
        manifest["given"] = configs.meaning(files["config.yaml"])
        return Recorder(new_run(self._runs, self._name, label, manifest=manifest, files=files))
