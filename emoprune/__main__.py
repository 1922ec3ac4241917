"""The console entry point: runs a command and turns every error into one paragraph and a documented exit code."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command in `sys.argv` and exit with its code."""
    # A shell can start a program without these (>&-); what it would have said is then for nobody.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a name must not end the program where the locale lacks it
    code = _run()
    sys.exit(_flushed(code))


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  # pathlib is not imported yet; before anything is imported, and for good


def _run() -> int:
    try:
        with _no_traceback():
            from emoprune.cli.app import app
        app(prog_name="emoprune")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # the last resort of the program: nobody above could handle it
        _explain(error)
        return _code(error)
    return 0


@contextlib.contextmanager
def _no_traceback() -> Iterator[None]:
    """Let Ctrl-C end the process without a word: while its code is imported there is nothing to be told or kept."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # as a shell has it for what it runs behind
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def _explain(error: Exception) -> None:
    """Write one paragraph to standard error, and the traceback if it was asked for."""
    from emoprune.errors import EmopruneError, StorageError

    if "--debug" in sys.argv or os.environ.get("EMOPRUNE_DEBUG"):
        import traceback  # not needed as long as all goes well

        traceback.print_exception(error)
    if isinstance(error, EmopruneError):
        text = str(error)
    elif _code(error) == StorageError.exit_code:
        text = f"the disk failed: {error}; free some space or check it, then repeat"
    else:
        text = (
            f"internal error: {type(error).__name__}: {error}\n"
            "This is a mistake in emoprune or in a plug-in; the same command with --debug shows where."
        )
    from emoprune.cli.output import printable

    sys.stderr.write(f"emoprune: {printable(text)}\n")


def _code(error: Exception) -> int:
    from emoprune.errors import EmopruneError, StorageError

    if isinstance(error, EmopruneError):
        return error.exit_code
    from emoprune.storage import OF_THE_DISK  # `emoprune --help` does without

    return StorageError.exit_code if isinstance(error, OSError) and error.errno in OF_THE_DISK else 1


def _flushed(code: int) -> int:
    """Write out what is buffered, here, where a full disk or a reader who left can still be told."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        from emoprune.cli.app import NOBODY_READS

        _silence(sys.stdout)
        return NOBODY_READS
    except OSError as error:
        _silence(sys.stdout)
        _explain(error)
        return _code(error)
    return code


def _silence(stream: TextIO) -> None:
    """Point the stream nowhere, so that closing it cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
