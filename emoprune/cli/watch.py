"""`emoprune watch`: a run seen from another terminal, read and never touched."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emoprune.cli.arguments import RunArgument, RunsOption

if TYPE_CHECKING:
    from rich.console import Console

    from emoprune.report.watching import Watched

__all__ = ["watch"]


def watch(
    run: RunArgument = "latest",
    *,
    interval: Annotated[float, typer.Option(min=0.2, metavar="S", help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and leave.")] = False,
    runs: RunsOption = Path("runs"),
) -> None:
    """Watch a run from another terminal: its front, its hypervolume, its workers, its failures; Ctrl-C leaves."""
    from emoprune.cli.output import Paper
    from emoprune.report.watching import Watched
    from emoprune.run import find_run, open_run

    watched, paper = Watched(open_run(find_run(run, runs))), Paper()
    if not once and paper.is_terminal and not paper.is_dumb_terminal:
        try:
            _follow(watched, paper, interval)
        except KeyboardInterrupt:  # it may have come before the screen knew that it has to be left
            paper.set_alt_screen(False)
            paper.show_cursor(True)
    paper.print(watched)


def _follow(watched: Watched, paper: Console, interval: float) -> None:
    """Draw the run on a screen of its own until it is over."""
    from rich.live import Live

    from emoprune.records import State

    with Live(watched, console=paper, screen=True, auto_refresh=False, vertical_overflow="ellipsis") as live:
        while watched.progress.state is State.RUNNING:
            live.refresh()
            time.sleep(interval)
