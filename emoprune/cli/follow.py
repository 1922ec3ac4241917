"""Work as it is followed: progress and notes on standard error, results on standard output, Ctrl-C with grace.

Notes are what a problem prepares or trains, and what is found amiss, line by line as it happens.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from emoprune.cli.output import Paper, Screen, printable, rows, write_object
from emoprune.errors import ConfigError, ContractError, EvaluationsFailed, RunCorrupt, StorageError
from emoprune.loop.search import Search
from emoprune.records import Generation, Progress, State
from emoprune.report.marked import marked_texts
from emoprune.report.terminal import LiveView, front_table
from emoprune.report.wording import measured
from emoprune.run import Run

__all__ = ["NOTICE", "follow", "notes_on"]

NOTICE = "stopping after the evaluations under way; press again to stop now"
GRACE = 10.0  # seconds that evaluations under way have to end after SIGTERM or SIGHUP, which nobody sends twice by hand
_EXIT_CODES = {None: 0, signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGTERM: 143}
_FINAL = (EvaluationsFailed, RunCorrupt, ConfigError)  # what a resume would not mend


def follow(search: Search, *, as_json: bool) -> int:
    """Run the search to its end and show it; return the exit code: 0, or 130 and 143 after a signal."""
    console = Screen(stderr=True)
    stopping = _Stopping(search, console)
    try:
        _iterate(search, stopping, console, as_json=as_json)
    except _FINAL:
        raise
    except KeyboardInterrupt:
        _say_how_to_resume(search)
        if stopping.received is None:
            raise
        return _EXIT_CODES[stopping.received]
    except BaseException as error:
        _say_how_to_resume(search, "once that is mended, " if isinstance(error, ContractError) else "")
        raise
    if as_json:
        _write_end(search)
    else:
        _print_end(search)
    if stopping.received is not None:
        _say_how_to_resume(search)
    return _EXIT_CODES[stopping.received]


def _iterate(search: Search, stopping: _Stopping, console: Console, *, as_json: bool) -> None:
    with (
        notes_on(console),
        stopping,
        LiveView(stopping.progress, lambda: _run_of(search), console) as view,
    ):
        for generation in search:
            view.generation(generation)
            if as_json:
                _write_generation(search.run, generation)


class _Stopping:
    """While it is entered, the first SIGINT or SIGTERM asks the search to stop, and the second interrupts it.

    So does the first one where nothing is under way that would be lost: while a problem prepares or workers start.
    SIGTERM and SIGHUP come again by themselves after GRACE seconds; as long after that the process ends in any case,
    since native code does not let itself be interrupted. What was written down until then stays.
    """

    def __init__(self, search: Search, console: Console) -> None:
        self.received: signal.Signals | None = None
        self._search = search
        self._in_panel = console.is_terminal and not console.is_dumb_terminal
        self._before: dict[signal.Signals, Any] = {}
        self._terminated = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._hurry, name="emoprune-deadline", daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a shell has it for what runs in its background
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._terminated.set()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hurry(self) -> None:
        self._terminated.wait()
        if not self._over.wait(GRACE) and self.received is not None:
            os.kill(os.getpid(), self.received)
            if not self._over.wait(GRACE):
                os._exit(_EXIT_CODES[self.received])

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
        if number != signal.SIGINT:
            self._terminated.set()
        if not self._search.measuring:
            raise KeyboardInterrupt
        if not self._in_panel:
            # Past Python's buffers: the signal may have come in the middle of a write to them.
            os.write(2, f"{NOTICE}\n".encode())


def _run_of(search: Search) -> Run | None:
    try:
        return search.run
    except (RuntimeError, StorageError):  # there is none yet, or its folder is gone
        return None


def _word_for(run: Run) -> str:
    """Return the run as one word of a command line: its name in the usual folder, else its path."""
    return shlex.quote(run.name if run.path.parent == Path("runs") else str(run.path))


def _say_how_to_resume(search: Search, when: str = "") -> None:
    run = _run_of(search)
    if run is not None:
        kept = "what was evaluated is kept" if run.holds_evaluations else "nothing was evaluated yet"
        sys.stderr.write(printable(f"{kept}; {when}continue with: emoprune resume {_word_for(run)}\n"))


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
        word = _word_for(run)
        next_steps = [f"report   emoprune report {word}"]
        marked = [each for each in ("best", "knee") if each in run.pareto and run.pareto[each].any()]
        if marked:
            next_steps.append(f"export   emoprune export {word} {'best' if search.chooses else marked[0]}")
    lines = [
        *(f"alarm: {words}" for words in run.progress.alarms),
        *([f"candidates by blocks: {measured(run.progress.measured)}"] if run.progress.measured else []),
        "",
        search.ended or run.progress.state.value,
        f"run      {run.path}",
        *next_steps,
    ]
    sys.stdout.write(printable("\n".join(lines) + "\n"))


@contextlib.contextmanager
def notes_on(console: Console | None = None) -> Iterator[None]:
    """Write every note of emoprune's loggers as a line of its own as soon as it is made; warnings say that they are.

    Args:
        console: Where to; standard error if None.
    """
    handler, log = _Lines(Screen(stderr=True) if console is None else console), logging.getLogger("emoprune")
    before = log.level
    log.addHandler(handler)
    log.setLevel(min(logging.INFO, before or logging.INFO))
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, above a live view if there is one."""
        kind = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        text = Text(printable(f"{kind}{record.getMessage()}"))
        with contextlib.suppress(BrokenPipeError):  # nobody watches any more; the work goes on
            self._console.print(text, soft_wrap=True)
