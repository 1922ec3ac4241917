"""Follow a search from the command line: progress on standard error, results on standard output, Ctrl-C with grace."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Self

from rich.console import Console
from rich.logging import RichHandler

from emoprune.errors import EvaluationsFailed, RunCorrupt
from emoprune.records import Generation, Progress, State
from emoprune.report.marked import marked_texts
from emoprune.report.terminal import LiveView, front_table
from emoprune.run import Run
from emoprune.searching import Search
from emoprune.showing import Paper, rows, write_object

__all__ = ["NOTICE", "follow", "run_word"]

NOTICE = "stopping after the evaluations under way; press again to stop now"
_EXIT_CODES = {None: 0, signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}


def follow(search: Search, *, as_json: bool) -> int:
    """Run the search to its end and show it; return the exit code: 0, or 130 and 143 after a signal."""
    console = Console(stderr=True)
    try:
        received = _iterate(search, console, as_json=as_json)
    except (EvaluationsFailed, RunCorrupt):
        raise  # what a resume would not mend
    except BaseException:
        _say_how_to_resume(search)
        raise
    finally:
        for warning in search.warnings:
            sys.stderr.write(f"warning: {warning}\n")
    if as_json:
        _write_end(search)
    else:
        _print_end(search)
    if received is not None:
        _say_how_to_resume(search)
    return _EXIT_CODES[received]


def _iterate(search: Search, console: Console, *, as_json: bool) -> signal.Signals | None:
    """Run the search and return the signal that ended it early, if one did."""
    with (
        _notes_on(console),
        _Stopping(search, console) as stopping,
        LiveView(stopping.progress, lambda: _run_of(search), console) as view,
    ):
        for generation in search:
            view.generation(generation)
            if as_json:
                _write_generation(search.run, generation)
    return stopping.received


@contextlib.contextmanager
def _notes_on(console: Console) -> Iterator[None]:
    """Show what the engine notes under way (a worker given up) above the live view instead of in the middle of it."""
    handler = RichHandler(console=console, show_time=False, show_path=False)
    log = logging.getLogger("emoprune")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _Stopping:
    """While it is entered, the first SIGINT or SIGTERM asks the search to stop, and the second interrupts it."""

    def __init__(self, search: Search, console: Console) -> None:
        self.received: signal.Signals | None = None
        self._search = search
        self._in_panel = console.is_terminal and not console.is_dumb_terminal
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in its background
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def progress(self) -> Progress:
        """Return where the search stands, with the notice once it was asked to stop."""
        progress = self._search.progress
        stopping = self.received is not None and progress.state is State.RUNNING
        return replace(progress, message=NOTICE) if stopping else progress

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
        self._search.stop()
        if not self._in_panel:
            # Past Python's buffers: the signal may have come in the middle of a write to them.
            os.write(2, f"{NOTICE}\n".encode())


def _run_of(search: Search) -> Run | None:
    try:
        return search.run
    except RuntimeError:
        return None


def run_word(run: Run) -> str:
    """Return the run as one word of a command line: its name in the usual folder, else its path."""
    return shlex.quote(run.name if run.path.parent == Path("runs") else str(run.path))


def _say_how_to_resume(search: Search) -> None:
    run = _run_of(search)
    if run is not None:
        evaluated = run.progress.evaluated or any(stage.progress.evaluated for stage in run.stages.values())
        kept = "what was evaluated is kept" if evaluated else "nothing was evaluated yet"
        sys.stderr.write(f"{kept}; continue with: emoprune resume {run_word(run)}\n")


def _write_generation(run: Run, generation: Generation) -> None:
    stage = {} if generation.stage is None else {"stage": generation.stage}
    write_object("event", {"event": "generation", "run": run.name, **stage, **generation.as_json()})


def _write_end(search: Search) -> None:
    run = search.run
    progress = run.progress
    front = rows(run.pareto) if progress.evaluated else []
    state = {"state": progress.state.value, "ended": search.ended, "evaluated": progress.evaluated}
    write_object("event", {"event": "end", "run": run.name, "path": str(run.path), **state, "rows": front})


def _print_end(search: Search) -> None:
    run = search.run
    next_steps = []
    if run.progress.evaluated:
        Paper().print(front_table(run))
        texts = marked_texts(run)
        if texts is not None:
            Paper().print(texts)
        word = run_word(run)
        next_steps = [f"report   emoprune report {word}", f"export   emoprune export {word} knee"]
    lines = ["", search.ended or run.progress.state.value, f"run      {run.path}", *next_steps]
    sys.stdout.write("\n".join(lines) + "\n")
