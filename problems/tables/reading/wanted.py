"""How a table is to be made: what is predicted, and what a user says of columns."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, replace

from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.tables.reading.targets import TASKS, TaskName

__all__ = ["Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a table is to be made.

    Args:
        task: What is predicted.
        categorical: Columns that are categories although numbers or free texts.
        ignore: Patterns of columns to leave out.
        text: Columns that are free texts although they could be something else; None reads no column as free texts.
    """

    task: TaskName = "auto"
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    text: tuple[str, ...] | None = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ConfigError(
                f"task: expected one of {', '.join(TASKS)}, found {self.task!r}{nearest(str(self.task), TASKS)}"
            )

    def declaring(self, categories: Iterable[str]) -> Wanted:
        """Return the same with columns whose type says that they are categories, unless they are wanted as texts."""
        declared = (name for name in categories if name not in (self.text or ()))
        return replace(self, categorical=(*self.categorical, *declared))

    def ignores(self, name: str) -> bool:
        """Whether a column is to be left out."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.ignore)
