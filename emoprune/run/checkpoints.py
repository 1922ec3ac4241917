"""The checkpoints of a run: the last few are kept, and one that cannot be used is passed over for the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emoprune.errors import RunCorrupt
from emoprune.run.links import check_lies_at
from emoprune.run.reading import read_checkpoint
from emoprune.storage import guarded, write_checked

__all__ = ["FOLDER", "Checkpoints", "newest_checkpoint"]

FOLDER = "checkpoints"
NAMES = "gen-*.json"
KEPT = 3


def newest_checkpoint(run: Path) -> dict[str, Any] | None:
    """Return what the newest checkpoint of a run holds that can be read, from which a resume goes on; None without."""
    for path in sorted((run / FOLDER).glob(NAMES), reverse=True):
        try:
            return read_checkpoint(path)
        except RunCorrupt:  # a resume and the doctor name it, and go by the one before as well
            continue
    return None


class Checkpoints:
    """Those of one run, for its writer.

    Args:
        run: The run's folder.
        warn: Is told what a person should know of them.
    """

    def __init__(self, run: Path, warn: Callable[[str], None]) -> None:
        self._run = run
        self._warn = warn
        self._passed_over: list[str] = []

    def __bool__(self) -> bool:
        """Whether there is one, so that a generation was committed."""
        return any((self._run / FOLDER).glob(NAMES))

    def write(self, generation: int, body: Mapping[str, Any]) -> None:
        """Commit a generation."""
        folder = self._folder()
        with guarded(folder):
            folder.mkdir(exist_ok=True)
        write_checked(folder / f"gen-{generation:05d}.json", body)

    def remove_old(self) -> None:
        """Keep the last few."""
        folder = self._folder()
        with guarded(folder):
            for old in sorted(folder.glob(NAMES))[:-KEPT]:
                old.unlink()

    def _folder(self) -> Path:
        folder = self._run / FOLDER
        check_lies_at(folder, self._run.resolve() / FOLDER)
        return folder

    def readable(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield those that can be read, by name, the newest first; the others are passed over."""
        for path in sorted((self._run / FOLDER).glob(NAMES), reverse=True):
            try:
                body = read_checkpoint(path)
            except RunCorrupt as error:
                self.pass_over(path.name, error)
            else:
                yield path.name, body

    def pass_over(self, name: str, error: RunCorrupt) -> None:
        """Say that one cannot be used, and why."""
        self._passed_over.append(name)
        self._warn(f"checkpoint {name} is damaged and was passed over: {error}")

    def go_on_from(self, name: str | None) -> None:
        """Say from where the run goes on instead, if one was passed over; None for its beginning."""
        if self._passed_over:
            place = "the beginning, with all of the history" if name is None else f"checkpoint {name}"
            self._warn(f"the run goes on from {place} instead of {self._passed_over[0]}")
        self._passed_over.clear()
