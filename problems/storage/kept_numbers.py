"""Numbers that take long to measure: each is written down as soon as it is known, and never measured again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from emoprune.errors import RunCorrupt
from emoprune.storage import guarded, write_atomically

__all__ = ["KeptNumbers"]


class KeptNumbers:
    """Numbers by name, in a file with a line for each; None for what has no number.

    A last line that a kill cut off is cut off here, too.

    Args:
        path: The file; it need not be there yet.

    Raises:
        RunCorrupt: The file is of another form.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _known(path)

    def number(self, name: str, measure: Callable[[], float | None]) -> float | None:
        """Return the number of a name, measured now if it is not known.

        Raises:
            StorageError: It cannot be written down.
        """
        if name not in self._known:
            self._known[name] = measure()
            self._append(json.dumps([name, self._known[name]]) + "\n")
        return self._known[name]

    def _append(self, line: str) -> None:
        with guarded(self._path, len(line)), self._path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _known(path: Path) -> dict[str, float | None]:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_atomically(path, whole)
    known = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            name, value = json.loads(line)
            known[str(name)] = None if value is None else float(value)
        except (ValueError, TypeError) as error:
            raise RunCorrupt(
                f"{path.name}, line {number}: expected a name and a number, found {line[:60]!r}; delete the line, and "
                "it is measured again"
            ) from error
    return known
