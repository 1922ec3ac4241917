"""What the terminal shows of a search: a live view while it runs, a panel for its status, its front as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from emoprune.records import Generation, Progress, State
from emoprune.report.front_table import front_table
from emoprune.report.readable import ReadableRun, generations_done
from emoprune.report.wording import duration, measured, plain, rate, shell_word, significant, with_unit
from emoprune.run import objectives_in

__all__ = ["LiveView", "front_table", "status_lines", "status_panel"]

REDRAWS_PER_SECOND = 2

_STYLES = {
    State.RUNNING: "green",
    State.FINISHED: "green",
    State.INTERRUPTED: "yellow",
    State.STALE: "yellow",
    State.FAILED: "red",
}


class LiveView:
    """Shows a search while it runs; a context manager around the loop.

    In a terminal it redraws a panel. Without one (a log file, a pipe, TERM=dumb) it writes a plain line per generation,
    and in a notebook nothing but the last of these lines.

    Args:
        progress: Returns where the search stands; called from another thread.
        run: Returns the run, or None until it has a folder.
        console: Where to draw; standard error if None.
    """

    def __init__(
        self, progress: Callable[[], Progress], run: Callable[[], ReadableRun | None], console: Console | None = None
    ) -> None:
        self._progress = progress
        self._run = run
        self._console = Console(stderr=True) if console is None else console
        self._live: Live | None = None
        self._last: dict[str | None, Generation] = {}  # by stage
        self._reader_gone = False

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            # Standard output is for results and may be a pipe: it is left alone.
            self._live = Live(
                console=self._console,
                get_renderable=self._panel,
                refresh_per_second=REDRAWS_PER_SECOND,
                redirect_stdout=False,
            )
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._console.is_jupyter and self._last:
            self._console.print(Text(self._line(list(self._last.values())[-1])))

    def generation(self, generation: Generation) -> None:
        """Tell the view that a generation is finished; a plain view writes its line."""
        if self._live is None and not self._console.is_jupyter:
            self._write(self._line(generation))
        self._last.pop(generation.stage, None)
        self._last[generation.stage] = generation

    def _panel(self) -> RenderableType:
        progress, run = self._progress(), self._run()
        name = "search" if run is None else plain(run.name)
        return _framed(name, progress, _rows(progress, _units(run)))

    def _line(self, generation: Generation) -> str:
        progress, units = self._progress(), _units(self._run())
        before = self._last.get(generation.stage)
        gain = None if before is None else generation.hypervolume - before.hypervolume
        of_all = f" ({generation.index + 1}/{progress.generations})" if generation.stage is None else ""
        parts = [
            *([] if generation.stage is None else [f"stage {plain(generation.stage)}"]),
            f"generation {generation.index}{of_all}",
            f"evaluations {generation.evaluated:,}",
            f"failed {generation.failed:,}",
            f"front {len(generation.front)}",
            f"hypervolume {_hypervolume(generation.hypervolume, gain)}",
            *(f"{plain(name)} {with_unit(value, units.get(name, ''))}" for name, value in generation.best.items()),
            _time(generation.seconds, progress),
        ]
        parts += [plain(words) for words in (generation.note, generation.ended) if words is not None]
        return "  ".join(parts)

    def _write(self, line: str) -> None:
        if self._reader_gone:
            return
        file = self._console.file
        encoding = getattr(file, "encoding", None) or "utf-8"
        try:
            file.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            file.flush()
        except BrokenPipeError:
            self._reader_gone = True  # nobody watches any more; the search goes on


def status_panel(run: ReadableRun, progress: Progress) -> RenderableType:
    """Return a panel that says where a run stands, where it lies, and which command goes on from here."""
    rows = [*_rows(progress, _units(run)), ("folder", Text(plain(run.path, 400)))]
    if progress.host:
        rows.append(("process", Text(f"{progress.pid} on {plain(progress.host)}")))
    rows.append(("updated", Text(plain(progress.updated))))
    return Group(_framed(plain(run.name), progress, rows), Text(_next_step(plain(run.name), progress.state)))


def status_lines(run: ReadableRun, progress: Progress) -> Iterator[Text]:
    """Yield where a run stands in a few lines, for where a panel would take the room of what else is shown."""
    units, state = _units(run), progress.state.value
    state = state if progress.state is State.FINISHED else f"{state}: {plain(progress.phase)}"
    yield Text(plain(run.name), style="bold").append(f"  {state}", style=_STYLES[progress.state])
    done = f"generations {generations_done(progress)}/{progress.generations}"
    yield Text(f"{done}  evaluations {_evaluations(progress)}  failed ").append_text(_failures(progress))
    best = ", ".join(f"{plain(name)} {with_unit(value, units.get(name, ''))}" for name, value in progress.best.items())
    yield Text(
        f"front {progress.front:,}  hypervolume {_hypervolume(progress.hypervolume, progress.change)}  best {best}"
    )
    # Of more open evaluations than workers all work.
    busy = min(progress.pending, progress.workers) if progress.state is State.RUNNING else 0
    yield Text(f"workers {busy} busy, {progress.workers - busy} idle  time {_time(progress.seconds, progress)}")
    yield from (Text(f"{plain(name)} {plain(words, 400)}") for name, words in progress.stages.items())
    yield from (Text(f"alarm: {plain(words, 400)}", style="bold red") for words in progress.alarms)
    if progress.message:
        yield Text(plain(progress.message, 400), style=_STYLES[progress.state])


def _next_step(name: str, state: State) -> str:
    if state is State.RUNNING:
        return f"Look at the front so far: emoprune pareto {shell_word(name)}"
    if state is State.FINISHED:
        return f"Look at the front: emoprune pareto {shell_word(name)}"
    return f"Go on with it: emoprune resume {shell_word(name)}"


def _framed(name: str, progress: Progress, rows: list[tuple[str, RenderableType]]) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for label, value in rows:
        grid.add_row(label, value)
    style = _STYLES[progress.state]
    state = progress.state.value
    if progress.state is not State.FINISHED:
        state += f": {plain(progress.phase)}"
    title, subtitle = Text(name, style="bold"), Text(state, style=style)
    return Panel(grid, title=title, title_align="left", subtitle=subtitle, subtitle_align="right", border_style=style)


def _rows(progress: Progress, units: Mapping[str, str]) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = [
        *((f"stage {plain(name)}", Text(plain(words, 400))) for name, words in progress.stages.items()),
        ("generations", _bar(progress)),
        ("evaluations", Text(_evaluations(progress))),
        *([("blocks", Text(measured(progress.measured)))] if progress.measured else []),
        ("front", Text(f"{progress.front:,} candidates")),
        ("hypervolume", Text(_hypervolume(progress.hypervolume, progress.change))),
        *_best(progress, units),
        ("failures", _failures(progress)),
        ("workers", Text(f"{progress.workers:,}")),
        *((plain(name, 40), Text(plain(words, 200))) for name, words in progress.spent.items()),
        ("time", Text(_time(progress.seconds, progress))),
    ]
    rows += [("alarm", Text(plain(words, 400), style="bold red")) for words in progress.alarms]
    if progress.message:
        rows.append(("message", Text(plain(progress.message, 400), style=_STYLES[progress.state])))
    return rows


def _bar(progress: Progress) -> Table:
    row = Table.grid(padding=(0, 1), expand=True)
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    total, done = max(1, progress.generations), generations_done(progress)
    row.add_row(
        Text(f"{done}/{progress.generations}"),
        ProgressBar(total=total, completed=done, complete_style="green"),
    )
    return row


def _evaluations(progress: Progress) -> str:
    speed = "" if progress.per_second is None else f"  {rate(progress.per_second)}"
    pending = f"  {progress.pending:,} pending" if progress.pending else ""
    return f"{progress.evaluated:,}{speed}{pending}"


def _hypervolume(value: float | None, gain: float | None) -> str:
    if value is None:
        return "not yet"
    if gain is None:
        return significant(value)
    return f"{significant(value)} ({'-' if gain < 0 else '+'}{significant(abs(gain), 2)})"


def _best(progress: Progress, units: Mapping[str, str]) -> Iterator[tuple[str, Text]]:
    for position, (name, value) in enumerate(progress.best.items()):
        yield "best" if position == 0 else "", Text(f"{plain(name)} {with_unit(value, units.get(name, ''))}")


def _failures(progress: Progress) -> Text:
    failed = Text(f"{progress.failed:,}", style="bold red" if progress.failed else "")
    return failed.append(f"  {progress.retried:,} retried", style="not bold default") if progress.retried else failed


def _time(seconds: float, progress: Progress) -> str:
    elapsed = duration(seconds)
    if progress.state is not State.RUNNING:
        return elapsed
    left = "estimating" if progress.remaining is None else f"about {duration(progress.remaining)}"
    return f"{elapsed}, left: {left}"


def _units(run: ReadableRun | None) -> dict[str, str]:
    return {} if run is None else {objective.name: objective.unit for objective in objectives_in(run.manifest)}
