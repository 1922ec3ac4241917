"""What it costs that nothing is ever lost: history and checkpoints per generation, beside Optuna's journal per trial.

python benchmarks/overhead.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.landscapes import KeptAndLost
from shared.meters import Meter
from shared.processes import alone, interleaved
from shared.pruning import Pruning
from shared.recording import FOLDER, Report, Table, arguments, publish
from shared.spreads import Spread, digits

from emoprune.config import SearchSettings
from emoprune.evaluation.serial import Serial
from emoprune.loop.session import Session
from emoprune.loop.stages import side_by_side
from emoprune.loop.start import describe_in_manifest, prepare
from emoprune.records import Evaluation, Generation, Split
from emoprune.run.beginning import environment, new_run
from emoprune.run.heartbeat import Heartbeat, starting
from emoprune.run.recorder import Recorder

GENES = 200
OURS, ASKED, ADDED = "emoprune", "Optuna, ask and tell", "Optuna, add_trial"
MEMORY = Path("/dev/shm")  # noqa: S108  # where Linux mounts a file system in memory; only the benchmark writes there
PLACES = {"disk": FOLDER.parent / "runs", "memory": MEMORY}


NOTES = """\
- A whole search runs in one process with the default operators. Only the time inside Recorder.record (a call per
  finished chunk, which is on the disk when it returns) and Recorder.checkpoint (written, flushed, read back) counts.
- disk: the file system of runs/. memory: /dev/shm, where flushing costs nothing.
- Optuna: JournalStorage with a parameter per bit; only the time inside its file counts. It flushes every parameter of
  an asked trial by itself, and an added trial in one piece.
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Who writes where, and how much: `turns` generations of a population; Optuna's trials are generations of one."""

    writer: str
    place: str
    population: int
    turns: int

    @property
    def evaluations(self) -> int:
        """How many evaluations are written down."""
        return self.population * self.turns


SIZES = ((100, 20), (1_000, 8), (10_000, 3))
TRIALS = 20


class TimedRecorder(Recorder):
    """A recorder that measures itself while the search goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.recording, self.committing = Meter(), Meter()

    def record(self, evaluations: Sequence[Evaluation]) -> None:
        """Append, on the clock; what is measured again after the search is not counted."""
        if evaluations[0].split is not Split.SEARCH:
            super().record(evaluations)
            return
        with self.recording:
            super().record(evaluations)

    def commit(self, generation: int, body: Mapping[str, Any]) -> None:
        """Commit, on the clock."""
        with self.committing:
            super().commit(generation, body)


def generations(recorder: Recorder, problem: Pruning, settings: SearchSettings) -> Iterator[Generation]:
    """Search as `emoprune run` does, in this process, with the given recorder."""
    with recorder, Heartbeat(starting(settings.generations), recorder.write_progress) as heartbeat:
        prepare(problem, recorder, settings.seed)
        describe_in_manifest(problem, recorder)
        backend = Serial("cpu", threads=1, time_limit=None, chunk=None)
        backend.start(problem)
        session = Session(settings, problem, recorder=recorder, heartbeat=heartbeat, stopping=lambda: False)
        yield from side_by_side({None: session.steps()}, lambda tickets: backend.run(tickets, lambda: False))


def ours(cell: Cell, folder: Path) -> dict[str, float]:
    """Search, and return the seconds inside the recorder and the bytes it left."""
    settings = SearchSettings(population=cell.population, generations=cell.turns)
    manifest: dict[str, Any] = {"problem": "kept-and-lost", "seed": settings.seed, "environment": environment()}
    manifest |= {"references": [], "reference_point": None, "sessions": []}
    resolved = json.dumps({"problem": {"name": "kept-and-lost"}, "search": {}})
    recorder = TimedRecorder(new_run(folder, "run", "run", manifest=manifest, files={"config.resolved.json": resolved}))
    for _ in generations(recorder, Pruning(KeptAndLost(GENES)), settings):
        pass
    checkpoint = max((recorder.path / "checkpoints").iterdir())
    written = (recorder.path / "history.jsonl").stat().st_size + cell.turns * checkpoint.stat().st_size
    meters = {"record": recorder.recording, "checkpoint": recorder.committing}
    seconds = {f"{name}_{kind}": getattr(meter, kind) for name, meter in meters.items() for kind in ("wall", "cpu")}
    return {**seconds, "bytes": written}


def optunas(cell: Cell, folder: Path) -> dict[str, float]:
    """Tell Optuna of as many trials, and return the seconds inside its journal and the bytes in it."""
    from shared.optuna_journal import journalled

    return journalled(KeptAndLost(GENES), folder, cell.evaluations, asked=cell.writer == ASKED)


def measured(cell: Cell) -> dict[str, float]:
    """Return what one writer took, in a process of its own."""
    return alone(asdict(cell))


def measure(part: Mapping[str, Any]) -> None:
    """Write as one cell says, in this process, and print what it took."""
    cell = Cell(**part)
    with tempfile.TemporaryDirectory(prefix=".overhead-", dir=PLACES[cell.place]) as folder:
        found = (ours if cell.writer == OURS else optunas)(cell, Path(folder))
    print(json.dumps(found))


def cells(sizes: Sequence[tuple[int, int]], trials: int) -> list[Cell]:
    """Return everything to compare; memory counts only where there is a file system in it."""
    places = [name for name, folder in PLACES.items() if folder.is_dir()]
    own = [Cell(OURS, place, *size) for size in sizes for place in places]
    return own + [Cell(writer, place, 1, trials) for writer in (ASKED, ADDED) for place in places]


def turn_table(found: Mapping[Cell, Sequence[Mapping[str, float]]]) -> Table:
    """Return what history and checkpoint cost emoprune per generation."""
    rows = [
        (
            f"{cell.population:,}",
            cell.place,
            _spread(rounds, ["record_wall"], cell.turns),
            _spread(rounds, ["checkpoint_wall"], cell.turns),
            _spread(rounds, ["record_cpu", "checkpoint_cpu"], cell.turns),
        )
        for cell, rounds in found.items()
        if cell.writer == OURS
    ]
    columns = ("population", "place", "history, wall", "checkpoint, wall", "both, CPU")
    return Table("emoprune, milliseconds per generation: median (smallest-largest).", columns, rows)


def evaluation_table(found: Mapping[Cell, Sequence[Mapping[str, float]]]) -> Table:
    """Return what it costs per evaluation, for all writers."""
    rows = [
        (
            cell.writer if cell.writer != OURS else f"{OURS}, population {cell.population:,}",
            cell.place,
            f"{cell.evaluations:,}",
            _spread(rounds, ["record_wall", "checkpoint_wall"], cell.evaluations),
            _spread(rounds, ["record_cpu", "checkpoint_cpu"], cell.evaluations),
            digits(rounds[0]["bytes"] / cell.evaluations),
        )
        for cell, rounds in found.items()
    ]
    columns = ("writer", "place", "evaluations", "ms, wall", "ms, CPU", "bytes written")
    return Table(f"Per evaluation of {GENES} bits, until it is safe on the disk.", columns, rows)


def _spread(rounds: Sequence[Mapping[str, float]], names: Sequence[str], parts: int) -> str:
    return str(Spread.of([sum(each.get(name, 0.0) for name in names) / parts * 1e3 for each in rounds]))


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one cell in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    sizes, trials, rounds = (((16, 2),), 2, 1) if chosen.quick else (SIZES, TRIALS, chosen.rounds)
    found = interleaved(cells(sizes, trials), rounds, measured)
    tables = (turn_table(found), evaluation_table(found))
    publish(Report("Overhead of history and checkpoints", tables, NOTES, ("emoprune", "numpy", "optuna")), chosen)


if __name__ == "__main__":
    main()
