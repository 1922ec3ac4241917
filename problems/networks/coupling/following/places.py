"""Where in a network's code an operation stands."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch

__all__ = ["Place", "place_of_call", "place_of_error"]

_TORCH, _OURS = f"{Path(torch.__file__).parent}/", f"{Path(__file__).resolve().parents[1]}/"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a network's own code."""

    file: str
    line: int

    def __str__(self) -> str:
        """Return file, line and what stands there, as a person looks for it."""
        code = linecache.getline(self.file, self.line).strip()
        return f"{Path(self.file).name}:{self.line}" + (f" `{code[:80]}`" if code else "")


def place_of_call() -> Place | None:
    """Return the line of a network's own forward that is being run; None if all are torch's, up to who follows it."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # inspect.stack reads the source of every frame
    left = False
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith((_TORCH, _OURS)):
            return Place(name, frame.f_lineno)
        left = left or name.startswith(_TORCH)
        if left and name.startswith(_OURS) and frame.f_code.co_name == "follow":
            return None
        frame = frame.f_back
    return None


def place_of_error(error: BaseException) -> Place | None:
    """Return the last line of a network's own code that an error passed."""
    found, step = None, error.__traceback__
    while step is not None:
        name = step.tb_frame.f_code.co_filename
        if not name.startswith((_TORCH, _OURS)):
            found = Place(name, step.tb_lineno)
        step = step.tb_next
    return found
