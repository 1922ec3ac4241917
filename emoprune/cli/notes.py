"""What is noted under way, line by line: what a problem prepares or trains, and what was found amiss."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from emoprune.cli.output import printable

__all__ = ["notes_on"]


@contextlib.contextmanager
def notes_on(console: Console | None = None) -> Iterator[None]:
    """Write every note of emoprune's loggers as a line of its own as soon as it is made; warnings say that they are.

    Args:
        console: Where to; standard error if None.
    """
    handler, log = _Lines(Console(stderr=True) if console is None else console), logging.getLogger("emoprune")
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
