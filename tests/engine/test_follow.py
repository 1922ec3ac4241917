"""What is noted under way is written as it happens, and leaves logging as it was."""

from __future__ import annotations

import io
import logging

from rich.console import Console

from emoprune.cli.follow import notes_on

log = logging.getLogger("emoprune.somewhere")


def test_notes_are_lines_of_their_own_and_warnings_say_that_they_are() -> None:
    file = io.StringIO()
    with notes_on(Console(file=file, width=40)):
        log.info("epoch 1 of 2: [red]loss[/red] %.2f, which is a line longer than forty characters", 0.5)
        log.warning("a worker\x1b[2J was given up")
        log.debug("nobody wants to know")
    assert file.getvalue().splitlines() == [
        "epoch 1 of 2: [red]loss[/red] 0.50, which is a line longer than forty characters",
        "warning: a worker[2J was given up",
    ]


def test_logging_is_as_it_was_afterwards() -> None:
    file, own = io.StringIO(), logging.getLogger("emoprune")
    before = own.level, list(own.handlers)
    with notes_on(Console(file=file)):
        assert own.isEnabledFor(logging.INFO)
    assert (own.level, own.handlers) == before
    log.warning("nobody is told here")
    assert file.getvalue() == ""


def test_whoever_asked_for_more_still_gets_it() -> None:
    own = logging.getLogger("emoprune")
    own.setLevel(logging.DEBUG)
    try:
        with notes_on(Console(file=io.StringIO())):
            assert own.isEnabledFor(logging.DEBUG)
    finally:
        own.setLevel(logging.NOTSET)
