"""How long a person waits for the command line: whole processes, ours beside Optuna's and Ray's.

python benchmarks/startup.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.landscapes import KeptAndLost
from shared.processes import interleaved
from shared.pruning import Pruning
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

import emoprune

PROGRAMS = Path(sys.executable).parent
LIMIT = 120.0  # seconds


NOTES = """\
- Whole processes, from their start to their end, after one of each that is not counted; the rounds are interleaved.
- status and pareto show a small finished run.
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: what is shown of it, and what is run."""

    label: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds that one process took."""

    wall: float
    cpu: float


def commands(runs: Path) -> list[Command]:
    """Return what is compared; the first is what any Python program pays."""
    ours = str(PROGRAMS / "emoprune")
    return [
        Command("python -c pass", (sys.executable, "-c", "pass")),
        Command("emoprune --help", (ours, "--help")),
        Command("emoprune status", (ours, "status", "--runs", str(runs))),
        Command("emoprune pareto", (ours, "pareto", "--runs", str(runs))),
        Command("optuna --help", (str(PROGRAMS / "optuna"), "--help")),
        Command("ray --help", (str(PROGRAMS / "ray"), "--help")),
    ]


def run_to_look_at(runs: Path) -> None:
    """Make a small finished run, for the commands that show one."""
    config = {"search": {"population": 40, "generations": 5}, "evaluation": {"backend": "serial"}}
    for _ in emoprune.search(config, problem=Pruning(KeptAndLost(50)), runs=runs, name="small"):
        pass


def taken(command: Command) -> Taken:
    """Run a command to its end.

    Raises:
        RuntimeError: It failed.
    """
    # Compiled modules may be kept, as on any user's machine.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(
        command.words, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False
    )
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"`{command}` ended with exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
    return Taken(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def waiting_table(found: Mapping[Command, list[Taken]]) -> Table:
    """Return wall and CPU seconds of every command."""
    rows = [
        (command.label, str(Spread.of([each.wall for each in rounds])), str(Spread.of([each.cpu for each in rounds])))
        for command, rounds in found.items()
    ]
    return Table("Seconds per command: median (smallest-largest).", ("command", "wall", "CPU"), rows)


def main() -> None:
    """Measure, print and record."""
    chosen = arguments(__doc__ or "", rounds=9).parse_args()
    with tempfile.TemporaryDirectory(prefix="emoprune-startup-") as folder:
        run_to_look_at(Path(folder))
        compared = commands(Path(folder))
        for command in compared:
            taken(command)
        found = interleaved(compared, 1 if chosen.quick else chosen.rounds, taken)
    publish(Report("Start of the command line", [waiting_table(found)], NOTES, ("emoprune", "optuna", "ray")), chosen)


if __name__ == "__main__":
    main()
