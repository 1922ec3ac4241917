"""What the tests would notice: small faults planted in random lines of the engine, and which test finds each.

python benchmarks/mutants.py [--quick] [--no-record] [--count N] [--seed N] [--limit SECONDS] [--tests FOLDER]
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from shared.mutations import Mutation, drawn
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish
from shared.scratch_tree import ROOT, Ended, ScratchTree
from shared.test_map import Test, TestMap, collected

ENGINE = "emoprune"
QUICK_TESTS = ("tests/engine/test_space.py",)
SLOWER = 6.0  # times what a test took alone: more is a test that hangs
PATIENCE = 30.0  # seconds on top, for the start
FAILED, INTERRUPTED, MISUSED = 1, 2, 4  # exit codes of pytest

NOTES = """\
- A fault is drawn by the source and the seed alone: a line of the engine, no definition or import, and one small change
  of its syntax. The tests cannot change which faults are drawn.
- Each is planted in a copy of the checkout, which every interpreter of an environment of its own imports; that a fault
  there is met in child processes and isolated ones is checked first.
- Run against it, until one fails: the tests that reach the line, in their own process or in those they start, then the
  others in their files, which may look at what a shared fixture made; the quickest file first, up to the limit.
- A test that takes 6 times its seconds and 30 more hangs, and has found the fault as well.
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a fault: killed, timed out, survived or not reached; by which test, and after how many seconds."""

    mutation: Mutation
    fate: str
    by: str
    tests: int
    seconds: float

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        place = f"{self.mutation.path}:{self.mutation.line}"
        return place, self.mutation.told, self.fate, self.by, str(self.tests), f"{self.seconds:.0f}"


def order(tests: TestMap, mutation: Mutation, limit: float) -> list[list[Test]]:
    """Return the tests to run against a fault, in batches of growing length, up to `limit` seconds in all."""
    ordered = [test for group in tests.reaching(mutation.path, mutation.line) for test in _quickest_files_first(group)]
    batches: list[list[Test]] = [[]]
    spent, room = 0.0, limit / 16
    for test in ordered:
        if spent + test.seconds > limit:
            continue
        if batches[-1] and spent + test.seconds > room:
            batches.append([])
            room = limit
        batches[-1].append(test)
        spent += test.seconds
    return [batch for batch in batches if batch]


def _quickest_files_first(tests: Sequence[Test]) -> list[Test]:
    total: Counter[str] = Counter()
    for test in tests:
        total[test.file] += test.seconds  # type: ignore[assignment]  # a Counter adds floats as well
    return sorted(tests, key=lambda test: (total[test.file], test.file, test.seconds, test.name))


def judged(tree: ScratchTree, mutation: Mutation, tests: TestMap, limit: float) -> Verdict:
    """Plant a fault, and run tests until one finds it."""
    begun = time.monotonic()
    source = (tree.root / mutation.path).read_bytes()
    batches = order(tests, mutation, limit)
    tree.plant(mutation.path, mutation.applied(source))
    ran = 0
    try:
        for batch in batches:
            ended = tree.run(words(tree, batch), SLOWER * sum(test.seconds for test in batch) + PATIENCE)
            ran += sum(map(int, re.findall(r"(\d+) (?:passed|failed|error)", ended.printed[-300:])))
            found = finder(ended)
            if found:
                return Verdict(mutation, *found, ran, time.monotonic() - begun)
    finally:
        tree.plant(mutation.path, source)
    return Verdict(mutation, "survived" if ran else "not reached", "", ran, time.monotonic() - begun)


def words(tree: ScratchTree, batch: Sequence[Test]) -> list[str]:
    """Return how pytest is called for some tests: their names in a file, for there may be thousands."""
    names = tree.root.parent / "names"
    names.write_text("\n".join(test.name for test in batch), "utf-8")
    quiet = ["-q", "-x", "-rfE", "--tb=no", "--disable-warnings", "--hypothesis-seed=0", "-p", "no:cacheprovider"]
    return ["-m", "pytest", *quiet, f"@{names}"]


def finder(ended: Ended) -> tuple[str, str] | None:
    """Return the fate of a fault and who found it, or None where all tests passed.

    Raises:
        RuntimeError: pytest did not run the tests.
    """
    if ended.code == 0:
        return None
    if ended.code is None:
        return "timed out", ""
    first = re.search(r"^(?:FAILED|ERROR) (\S+\.py(?:::.*?)?)(?: - .*)?$", ended.printed, re.MULTILINE)
    collecting = re.search(r"error(s)? during collection|ERROR collecting|ImportError while loading", ended.printed)
    if ended.code == FAILED and first:
        return "killed", first.group(1)
    if ended.code in {INTERRUPTED, MISUSED} and (first or collecting):
        return "killed", f"{first.group(1) if first else 'a test file'}, at import"
    if ended.code < 0 or ended.code > MISUSED:
        return "killed", f"the end of pytest, exit code {ended.code}"
    raise RuntimeError(f"expected tests to run, found exit code {ended.code}:\n{ended.printed[-3000:]}")


def all_judged(
    trees: Sequence[ScratchTree], mutations: Sequence[Mutation], tests: TestMap, limit: float
) -> Iterator[Verdict]:
    """Yield the verdict on every fault, as many at a time as there are trees."""
    free: queue.Queue[ScratchTree] = queue.Queue()
    for tree in trees:
        free.put(tree)

    def one(mutation: Mutation) -> Verdict:
        tree = free.get()
        try:
            return judged(tree, mutation, tests, limit)
        finally:
            free.put(tree)

    with ThreadPoolExecutor(len(trees)) as pool:
        for number, verdict in enumerate(pool.map(one, mutations), 1):
            progress(f"{number} of {len(mutations)}: {' | '.join(verdict.row())}")
            yield verdict


def tables(verdicts: Sequence[Verdict], tests: TestMap) -> list[Table]:
    """Return what became of the faults in all, and of each."""
    fates = Counter(verdict.fate for verdict in verdicts)
    found = fates["killed"] + fates["timed out"]
    cells = [
        str(number) for number in (len(verdicts), found, fates["timed out"], fates["survived"], fates["not reached"])
    ]
    total = ("mutants", "found", "of these timed out", "survived", "not reached", "tests that pass")
    columns = ("line", "fault", "fate", "by", "tests", "seconds")
    return [
        Table("Faults found.", total, [[*cells, str(len(tests))]]),
        Table("Each of them; tests run and seconds until it was found.", columns, [v.row() for v in verdicts]),
    ]


def options() -> argparse.Namespace:
    """Return what the command line says."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--count", type=int, default=60, help="faults to plant (60)")
    parser.add_argument("--seed", type=int, default=1, help="draws the faults (1)")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of tests per fault, untraced (120)")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="faults at a time (one per core)"
    )
    parser.add_argument("--tests", type=Path, default=ROOT / "tests", help="another state of the folder of tests")
    parser.add_argument("--only", nargs="+", default=["tests"], metavar="PATH", help="folders or files of tests (all)")
    kept = ROOT / ".pytest_cache" / "reached-lines.json"
    parser.add_argument("--kept", type=Path, default=kept, help="where the lines that tests reach are kept")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.count, chosen.jobs, chosen.only = 2, 1, QUICK_TESTS
    return chosen


def main() -> None:
    """Draw, plant, test, print and record."""
    chosen = options()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests send it; a shell's background job would ignore it
    folder = f"{ENGINE}/space.py" if chosen.quick else ENGINE
    mutations = drawn(ROOT, folder, chosen.count, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="emoprune-mutants-") as place:
        kept = Path(place) / "kept.json" if chosen.quick else chosen.kept
        trees = [ScratchTree(Path(place) / str(number), chosen.tests.resolve()) for number in range(chosen.jobs)]
        trees[0].prove()
        tests = collected(trees[0], kept, chosen.only, chosen.jobs)
        for name in tests.failing:
            progress(f"fails without any fault, and is left out: {name}")
        verdicts = list(all_judged(trees, mutations, tests, chosen.limit))
    publish(
        Report("Faults that the tests find", tables(verdicts, tests), NOTES, ("emoprune", "pytest", "hypothesis")),
        chosen,
    )


if __name__ == "__main__":
    main()
