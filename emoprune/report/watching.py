"""What `emoprune watch` shows of a run: where it stands, its front and hypervolume as plots, why candidates failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from emoprune.records import Progress, State
from emoprune.report.page_data import best_so_far
from emoprune.report.page_text import failures
from emoprune.report.ranking import rank
from emoprune.report.readable import ReadableRun
from emoprune.report.terminal import status_lines
from emoprune.report.wording import labelled, plain

__all__ = ["Watched"]

LOWEST, TALLEST = 7, 16  # lines of a plot
NARROWEST = 40  # columns of a plot
SIDE_BY_SIDE = 110  # columns from which on two plots stand beside each other
REASONS = 3
ASCII = str.maketrans("┌┐└┘┤├┬┴─│", "++++||++-|")
WITHOUT_PLOTS = "Plots need plotext: pip install 'emoprune[watch]'"


class Watched:
    """A picture of a run: its plots are made again where a generation was finished, its lines whenever it is drawn."""

    def __init__(self, run: ReadableRun) -> None:
        self._run = run
        self._seen: tuple[int, State] | None = None
        self._plots: Sequence[_Plot] = ()
        self._reasons: Sequence[Text] = ()

    @property
    def progress(self) -> Progress:
        """Where the run stands now."""
        return self._run.progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it, in as many lines as there are."""
        progress = self.progress
        if (progress.generation, progress.state) != self._seen and progress.hypervolume is not None:
            self._seen = (progress.generation, progress.state)
            generations = self._run.generations
            grown = (generations["evaluated"].tolist(), generations["hypervolume"].tolist())
            self._plots = (_Plot(*_front(self._run)), _Plot("evaluations", "hypervolume", *grown, joined=True))
            self._reasons = list(_reasons(self._run, progress))
        lines = [*status_lines(self._run, progress), *self._reasons]
        yield from lines
        if not self._plots:
            yield Text("No generation is finished yet.")
        elif find_spec("plotext") is None:
            yield Text(WITHOUT_PLOTS, style="dim")
        else:
            taken = sum(len(line.wrap(console, options.max_width)) for line in lines)
            yield from _drawn(self._plots, options, (options.height or console.size.height) - taken - 1)


def _front(run: ReadableRun) -> tuple[str, str, list[float], list[float]]:
    """Return the second objective across and the first up, of the front; of one objective its best by evaluations."""
    ranking = rank(run)
    names = [labelled(each.name, each.unit) for each in ranking.objectives]
    if len(names) == 1:
        steps = best_so_far(run.history, ranking.objectives) or {"positions": [], "values": []}
        return "evaluations", f"best {names[0]}", steps["positions"], steps["values"]
    values = np.array([ranking.values(entry)[:2] for entry in ranking.front]).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    return names[1], names[0], values[:, 1].tolist(), values[:, 0].tolist()


class _Plot:
    """Points in a box of text, with plotext; as wide as it is told."""

    def __init__(self, across: str, up: str, xs: Sequence[float], ys: Sequence[float], *, joined: bool = False) -> None:
        self._names, self._points, self._joined = (plain(across, 40), plain(up, 40)), (xs, ys), joined

    def drawn(self, width: int, height: int, *, ascii_only: bool) -> Text:
        import plotext

        figure = plotext.figure
        figure.clear()
        figure.plot_size(width, height)
        points = figure.signal(*self._points, marker="*" if ascii_only else "braille" if self._joined else "dot")
        figure.draw(points.lines() if self._joined else points)
        title = f"{self._names[1]} by {self._names[0]}"
        figure.title(title if len(title) < width else title[: width - 3] + "...")
        text = str(figure.build().string(colorless=True)).rstrip("\n")
        return Text(text.translate(ASCII) if ascii_only else text, no_wrap=True)


def _drawn(plots: Sequence[_Plot], options: ConsoleOptions, lines: int) -> Iterator[RenderableType]:
    """Yield plots beside each other where there is room, else below each other, in about so many lines."""
    beside = options.max_width >= SIDE_BY_SIDE
    width = max(NARROWEST, options.max_width // 2 - 1 if beside else options.max_width)
    height = min(TALLEST, max(LOWEST, lines if beside else lines // len(plots)))
    texts = [plot.drawn(width, height, ascii_only=options.ascii_only) for plot in plots]
    if not beside:
        yield from texts
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_row(*texts)
    yield grid


def _reasons(run: ReadableRun, progress: Progress) -> Iterator[Text]:
    """Yield why candidates failed, the commonest reason first."""
    if not progress.failed:
        return
    found = failures(run.history)
    yield Text(f"{found.count:,} failed:", style="bold")
    for status, reason, count, first in found.reasons[:REASONS]:
        yield Text(f"{count:>7,}  {status}: {plain(reason, 160)} (candidate {first})")
