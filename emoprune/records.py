"""The records that travel through a search and onto disk: Candidate, Evaluation, Generation.

They are frozen and check themselves; an Evaluation is one JSON line of the history.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ContractError, RunCorrupt
from emoprune.space import IntArray, plain_genome, read_genome

__all__ = [
    "Candidate",
    "Evaluation",
    "Front",
    "Generation",
    "Progress",
    "Ran",
    "Split",
    "State",
    "Status",
    "chained",
    "seed_for",
    "table",
]

FloatArray = NDArray[np.float64]

_MAY_LACK = {"message", "stages", "alarms", "measured", "spent"}  # what an earlier version's status.json may not have


class Split(StrEnum):
    """Three disjoint parts of the data: to search on, to choose on, to report on."""

    SEARCH = "search"
    SELECT = "select"
    TEST = "test"


class Status(StrEnum):
    """How an evaluation ended; only `ok` is ever ranked."""

    OK = "ok"
    ERROR = "error"  # the problem raised or returned a Failure
    INVALID = "invalid"  # not finite, or the wrong number of values
    TIMEOUT = "timeout"
    CRASHED = "crashed"  # the worker died, every time
    OUT_OF_MEMORY = "out-of-memory"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One genome with its id, the ids of its parents, the generation it was born in and the operator it came from."""

    id: int
    genome: IntArray
    generation: int
    origin: str
    parents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.genome.ndim != 1:
            raise ContractError(f"candidate {self.id}: expected a 1-D genome, found shape {self.genome.shape}")
        self.genome.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Ran:
    """Where and how long an evaluation ran: the only part of the history that differs between equal runs."""

    worker: str
    seconds: float
    attempts: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What was measured of a candidate on a split, or why nothing was.

    `values` maps objective and constraint names to finite numbers in natural signs and units; empty unless `status` is
    ok. `reason` says why otherwise. Of a problem that is measured block by block, `blocks` holds what was measured on
    each block so far, by the names of those values that vary, and `begun` is the block that the last piece began with;
    `values` and the seconds are those of all blocks so far.
    """

    candidate: Candidate
    split: Split
    status: Status
    values: Mapping[str, float]
    seed: int
    ran: Ran
    reason: str | None = None
    begun: int = 0
    blocks: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status is Status.OK:
            wrong = {name: value for name, value in self.values.items() if not math.isfinite(value)}
            if wrong or not self.values:
                raise ContractError(f"candidate {self.candidate.id}: an ok evaluation needs finite values, not {wrong}")
        elif self.values or not self.reason:
            raise ContractError(f"candidate {self.candidate.id}: a failed evaluation has a reason and no values")

    @property
    def ok(self) -> bool:
        """Whether there are values to rank."""
        return self.status is Status.OK

    @property
    def measured(self) -> int:
        """On how many blocks it was measured; 0 where there are no blocks."""
        return max(map(len, self.blocks.values()), default=0)

    def after(self, before: Evaluation | None) -> Evaluation:
        """Return the evaluation of all blocks so far, of a piece that goes on where `before` ends.

        Raises:
            RunCorrupt: It goes on somewhere else.
        """
        ended = 0 if before is None else before.measured
        if self.begun != ended:
            raise RunCorrupt(f"begun: expected block {ended}, behind what was measured before, found {self.begun}")
        if before is None:
            return self
        blocks = {name: (*values, *self.blocks.get(name, ())) for name, values in before.blocks.items()}
        return replace(self, blocks=blocks)

    def as_json(self) -> dict[str, Any]:
        """Return the plain form that is one line of the history; of blocks only those of the last piece."""
        pieces = {name: list(values[self.begun :]) for name, values in self.blocks.items()}
        blocks = {"begun": self.begun, "blocks": pieces} if pieces else {}
        return {
            "candidate": self.candidate.id,
            "generation": self.candidate.generation,
            "origin": self.candidate.origin,
            "parents": list(self.candidate.parents),
            "genome": plain_genome(self.candidate.genome),
            "split": self.split.value,
            "status": self.status.value,
            "values": dict(self.values),
            "reason": self.reason,
            "seed": self.seed,
            "ran": {"worker": self.ran.worker, "seconds": self.ran.seconds, "attempts": self.ran.attempts},
            **blocks,
        }

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Evaluation:
        """Rebuild an evaluation from its plain form.

        Raises:
            RunCorrupt: A member is missing or of the wrong kind.
        """
        try:
            candidate = Candidate(
                int(line["candidate"]),
                read_genome(line["genome"]),
                int(line["generation"]),
                str(line["origin"]),
                tuple(line["parents"]),
            )
            return cls(
                candidate,
                Split(line["split"]),
                Status(line["status"]),
                {str(name): float(value) for name, value in line["values"].items()},
                int(line["seed"]),
                Ran(**line["ran"]),
                line["reason"],
                int(line.get("begun", 0)),
                {str(name): tuple(map(float, values)) for name, values in line.get("blocks", {}).items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunCorrupt(f"expected one evaluation, found a line that is not one: {error!r}") from error


@dataclass(frozen=True, slots=True, eq=False)
class Front:
    """A non-dominated set: `ids` (n,), `genomes` (n, genes), `objectives` (n, objectives) in natural signs."""

    ids: IntArray
    genomes: IntArray
    objectives: FloatArray

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.genomes), len(self.objectives)}
        if len(lengths) != 1:
            raise ContractError(
                f"front: ids, genomes and objectives differ in length: {len(self.ids)}, {len(self.genomes)}, "
                f"{len(self.objectives)}"
            )
        for array in (self.ids, self.genomes, self.objectives):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One generation of a search, as the caller sees it.

    `front` holds the best of everything evaluated so far, `population` the ids that survived into the next generation,
    in order; `hypervolume` is measured against the reference point fixed at the start of the run; `evaluated` and
    `failed` count from the beginning, `born` counts this generation's candidates; `seconds` is the run's time so far;
    `ended` says why the search stops here, or is None; `stage` says which stage of a larger search this belongs to,
    None for the last; `note` is what a person should know of this generation, or None.
    """

    index: int
    front: Front
    population: IntArray
    hypervolume: float
    evaluated: int
    failed: int
    born: int
    seconds: float
    best: Mapping[str, float] = field(default_factory=dict)
    ended: str | None = None
    stage: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if self.index < 0 or self.failed > self.evaluated:
            raise ContractError(f"generation {self.index}: {self.failed} failures of {self.evaluated} evaluations")

    def as_json(self) -> dict[str, Any]:
        """Return the plain form that is one line of `generations.jsonl`; the front is named by ids."""
        return {
            "generation": self.index,
            "evaluated": self.evaluated,
            "failed": self.failed,
            "born": self.born,
            "front": self.front.ids.tolist(),
            "hypervolume": self.hypervolume,
            "best": dict(self.best),
            "seconds": self.seconds,
            "ended": self.ended,
            "note": self.note,
        }


class State(StrEnum):
    """What a run is doing, in the words a person uses; `stale` is a running one whose process is gone."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a search stands right now: what the terminal shows and `status.json` holds.

    `phase` is starting, preparing, between stages, starting workers, stages, or the split that is measured on;
    `pending` counts this generation's open evaluations; `change` is the last generation's gain in hypervolume;
    `per_second` and `remaining` (seconds) are None while they cannot be known; `updated` is the heartbeat, ISO 8601 in
    UTC; `stages` says of each stage that came first where it stands, in words; `alarms` are the problem's own, about
    what was measured; `measured` says how many candidates were measured on how many blocks of examples, the most being
    all of them, where a problem is measured block by block; `spent` says what measuring was charged so far, in words by
    what it is called.
    """

    state: State
    phase: str = "starting"
    generation: int = 0
    generations: int = 0
    evaluated: int = 0
    pending: int = 0
    failed: int = 0
    retried: int = 0
    front: int = 0
    hypervolume: float | None = None
    change: float | None = None
    best: Mapping[str, float] = field(default_factory=dict)
    per_second: float | None = None
    seconds: float = 0.0
    remaining: float | None = None
    workers: int = 0
    updated: str
    host: str
    pid: int
    message: str | None = None
    stages: Mapping[str, str] = field(default_factory=dict)
    alarms: Sequence[str] = ()
    measured: Mapping[str, int] = field(default_factory=dict)
    spent: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the plain form that is `status.json`."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Progress:
        """Rebuild a snapshot from its plain form, ignoring members of a newer version.

        Raises:
            KeyError: It lacks a member that every version writes.
        """
        known = {name: plain[name] for name in cls.__slots__ if name in plain or name not in _MAY_LACK}
        alarms = tuple(plain.get("alarms", ()))
        return cls(**{**known, "state": State(plain["state"]), "alarms": alarms})


def table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> FloatArray:
    """Return the named values of `evaluations` as an array of shape (evaluations, names); NaN where there is none."""
    rows = [[evaluation.values.get(name, math.nan) for name in names] for evaluation in evaluations]
    return np.array(rows, dtype=np.float64).reshape(len(evaluations), len(names))


def chained(digest: str, *numbers: NDArray[Any]) -> str:
    """Return the digest of a history that goes on with these arrays behind what `digest` speaks for, "" for nothing."""
    parts = [array.astype(array.dtype.newbyteorder("<")).tobytes() for array in numbers]
    return hashlib.blake2b(b"".join([digest.encode(), *parts]), digest_size=16).hexdigest()


def seed_for(run_seed: int, key: bytes, split: Split) -> int:
    """Return the seed of one evaluation: it depends on nothing but the run's seed, the genome and the split."""
    text = f"{run_seed}/{split.value}/".encode()
    return int.from_bytes(hashlib.blake2b(text + key, digest_size=8).digest(), "big")
