"""What a report reads of a run; `emoprune.run.Run` has all of it, and so may anything else that wants a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from emoprune.contracts import Description, Objective, Passage, Picture
from emoprune.records import Progress

if TYPE_CHECKING:  # pandas takes longer to import than `emoprune status` may take
    import pandas as pd

__all__ = ["ReadableRun", "ReadableStage", "generations_done"]


class ReadableStage(Protocol):
    """What a report reads of a stage."""

    @property
    def objectives(self) -> Sequence[Objective]:
        """What was made better."""
        ...

    @property
    def pareto(self) -> pd.DataFrame:
        """One row per member of its front and per reference."""
        ...


class ReadableRun(Protocol):
    """The read side of a run: what it was asked to do, what it measured, and where it stands."""

    @property
    def path(self) -> Path:
        """The run's folder."""
        ...

    @property
    def name(self) -> str:
        """What the command line calls the run."""
        ...

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Problem, seed, objectives, constraints, genes, references, reference point, as written at the start."""
        ...

    @property
    def history(self) -> pd.DataFrame:
        """One row per evaluation on the search split, sorted by candidate."""
        ...

    @property
    def generations(self) -> pd.DataFrame:
        """One row per finished generation."""
        ...

    @property
    def pareto(self) -> pd.DataFrame:
        """One row per member of the front and per reference."""
        ...

    @property
    def descriptions(self) -> Mapping[int, Description]:
        """What each candidate in `pareto` keeps, by candidate id."""
        ...

    @property
    def marked(self) -> Mapping[int, Sequence[Passage]]:
        """The text of each candidate in `pareto`, with what stays and what goes; none for most problems."""
        ...

    @property
    def pictures(self) -> Mapping[int, Picture]:
        """Drawings of some candidates in `pareto`, by candidate id; none for most problems."""
        ...

    @property
    def stages(self) -> Mapping[str, ReadableStage]:
        """The stages that the search was made of, by name; none for most runs."""
        ...

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        ...


def generations_done(progress: Progress) -> int:
    """Return how many generations are finished; they are numbered from 0, and the first one brings a hypervolume."""
    return 0 if progress.hypervolume is None else progress.generation + 1
