"""What a problem promises whose search is made of stages: smaller searches that come first, each a run of its own.

The engine runs stages that are named together on the same workers, side by side; each has its own history, checkpoints
and front, in the run's folder `stages/<name>/`. What they found goes back to the problem, which then says what comes
next, and at last is searched itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts.offers import Table
from emoprune.contracts.problem import Problem
from emoprune.errors import ContractError
from emoprune.space import IntArray

__all__ = ["Concluded", "Next", "Stage", "Staged"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A search within a search: its name, what it prunes, and which settings under `search` differ from the config's.

    `problem` needs no `prepare`; workers measure its genomes with the stage's problem that the whole one gives them.
    """

    name: str
    problem: Problem
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Concluded:
    """What a stage found: its front, and its references, the unpruned one among them, by candidate.

    `ids` has shape (n,), `genomes` (n, genes), `search` and `select` (n, objectives) in natural signs, a row of NaN
    where nothing was measured; `named` are the references' names, empty for what the search found. A stage in which
    every evaluation of a generation failed has the reason in `failed`, and may hold nothing else.
    """

    ids: IntArray
    genomes: IntArray
    search: FloatArray
    select: FloatArray
    named: Sequence[str]
    failed: str | None = None

    def __post_init__(self) -> None:
        lengths = {len(each) for each in (self.ids, self.genomes, self.search, self.select, self.named)}
        if len(lengths) != 1:
            raise ContractError(f"concluded: expected arrays of one length, found {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Next:
    """What comes after some stages: more of them, run side by side, or none, when the problem itself is ready.

    `tables` and `notes` are for a person: how what was found led to what comes next.
    """

    stages: Sequence[Stage] = ()
    tables: Mapping[str, Table] = field(default_factory=dict)
    notes: Sequence[str] = ()


@runtime_checkable
class Staged(Protocol):
    """A problem searched in stages; its `space`, `objectives` and `references` may depend on what they found."""

    def following(self, concluded: Mapping[str, Concluded], folder: Path, seed: int) -> Next:
        """Say what comes after the stages that are concluded; none are at first.

        Called after `prepare`, in the driver. What it decides is kept in `folder`, the same that `prepare` gets, so
        that a problem made again later is ready after `prepare` alone; asked again it answers the same.
        """
        ...

    def stage(self, name: str) -> Problem:
        """Return a stage's problem, set up if this one is; its `evaluate` is called in the workers."""
        ...
