"""What a user's own code raised, said with the place in that code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from emoprune.errors import ConfigError, EmopruneError

__all__ = ["called", "watched"]

Made = TypeVar("Made")


def called(option: str, target: str, function: Callable[[], Made]) -> Made:
    """Return what a user's function returns.

    Raises:
        ConfigError: It raised; the error is the cause and the message names the line.
    """
    with watched(option, target):
        return function()


@contextmanager
def watched(option: str, target: str) -> Iterator[None]:
    """Turn whatever a user's code raises into a ConfigError that names the option, the target and the line."""
    try:
        yield
    except EmopruneError:
        raise
    except Exception as error:  # a stranger's code may raise anything; its own error is the cause
        raise ConfigError(
            f"{option}: {target!r} raised {type(error).__name__}: {error} ({_place(error)}); mend it there"
        ) from error


def _place(error: Exception) -> str:
    """Return the innermost line that is neither in an installed library nor in this domain."""
    frames = traceback.extract_tb(error.__traceback__)
    foreign = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1]}
    own = [frame for frame in frames if not foreign & set(Path(frame.filename).parents)]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}, in {last.name}"
