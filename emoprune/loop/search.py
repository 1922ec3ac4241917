"""The verb: a search to iterate over, that can be stopped, killed and resumed; its loop is in session.py."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emoprune import config as configs
from emoprune.config import Config
from emoprune.contracts import Problem
from emoprune.contracts.stages import Staged
from emoprune.errors import ConfigError
from emoprune.evaluation.backends import Backend, Finished
from emoprune.evaluation.tickets import Ticket
from emoprune.loop.build import build_backend, build_problem
from emoprune.loop.session import STOPPED, Session
from emoprune.loop.stages import STAGES, Staging, side_by_side
from emoprune.loop.start import check_early, describe_in_manifest, kept_fronts, prepare, sign_in_manifest
from emoprune.loop.trust import check_trust
from emoprune.plugins import GIVEN, importable_from, is_given
from emoprune.records import Generation, Progress, Split
from emoprune.run import Run, open_run
from emoprune.run.heartbeat import Heartbeat, continuing, starting, watched
from emoprune.run.recorder import Recorder, check_free, environment

__all__ = ["Search", "resume", "search"]

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
        overrides: What may change: `search.generations`, `search.evaluations`, `search.time_limit`, `evaluation.*`.
        problem: The problem again, for a run that was given one as an object.
        trust_code: Import the code a run names even though the run was made by someone else or elsewhere.

    Raises:
        RunNotFound, RunCorrupt: There is no such run, or it cannot be read.
        ConfigError: Something else than the budget or the resources would change.
        TrustError: The run names code to import and was not made here.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    opened.check_whole("resume")
    before = opened.config
    check_trust(opened, trust_code=trust_code)
    given = problem is not None
    config, unchanged = (
        configs.load(before, changes, beside=opened.code_folders, problem_given=given) for changes in (overrides, ())
    )
    # Loaded as well, so that an option which there was not yet when the run began has its default on both sides.
    configs.check_resume(configs.resolved(unchanged), configs.resolved(config))
    done = len(opened.generations)
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
    return Search(config, runs=opened.path.parent, name=opened.name, problem=problem, resumed=opened)


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
    ) -> None:
        self.config = config
        self.ended: str | None = None
        self._runs = runs
        self._name = name
        self._given = problem
        self._resumed = resumed
        self._recorder: Recorder | None = None
        self._heartbeat: Heartbeat | None = None
        self._stopping = False
        self._iterated = False

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
            if self._resumed is not None:  # the lock comes first: a second process is turned away at once
                self._recorder = stack.enter_context(Recorder(self._resumed.path))
            else:
                check_early(self.config, problem, self._runs, self._name)
            backend = build_backend(self.config.evaluation)
            stack.callback(backend.close)
            backend.open()
            if self._recorder is None:  # a run folder appears only when the workers can be had
                self._recorder = stack.enter_context(self._new_run())
            recorder = self._recorder
            first = continuing(recorder.progress_before, self.config.search.generations)
            heartbeat = self._heartbeat = stack.enter_context(Heartbeat(first, recorder.write_progress))
            generations = self._generations(problem, backend, recorder, heartbeat)
            yield from watched(heartbeat, generations, lambda: self._stopping, lambda: self.ended)

    def _generations(
        self, problem: Problem, backend: Backend, recorder: Recorder, heartbeat: Heartbeat
    ) -> Iterator[Generation]:
        """Prepare the problem, start the workers, then run the session."""
        heartbeat.update(phase="preparing")
        sign_in_manifest(recorder, self._facts(backend))
        prepare(problem, recorder, self.config.search.seed)
        recorder.write_resolved(configs.resolved(self.config))

        def start() -> None:
            heartbeat.update(phase="starting workers")
            backend.start(problem)

        def measuring(tickets: Sequence[Ticket]) -> Iterator[Sequence[Finished]]:
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
        if not recorder.begun:
            kept_fronts(self.config.search, problem, recorder)
        start()
        session = Session(
            self.config.search, problem, recorder=recorder, heartbeat=heartbeat, stopping=lambda: self._stopping
        )
        yield from side_by_side({None: session.steps()}, measuring)
        self.ended = session.ended

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
        resolved = json.dumps(configs.resolved(self.config), indent=2, allow_nan=False)
        files = {"config.yaml": configs.as_yaml(self.config), "config.resolved.json": resolved}
        return Recorder.create(self._runs, self._name, label, manifest=manifest, files=files)
