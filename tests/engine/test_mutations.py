"""Files of a run, damaged in every way: no verb ends with an internal error, and no changed number passes for true."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations_for_tests import MUTATIONS, RESEALED, files_of, line_removed, mutate, reseal, truncated, unseal

import emoprune
from emoprune.cli import output
from emoprune.commands.audit import audit
from emoprune.commands.export import export
from emoprune.commands.recovery import recover
from emoprune.doctor.checks import Health
from emoprune.doctor.repairing import repair
from emoprune.doctor.run_files import check_run
from emoprune.errors import EmopruneError, RunCorrupt
from emoprune.report.page import write_page
from emoprune.run import Run, open_run

SETTINGS: dict[str, Any] = {
    "problem": {"name": "problems_for_tests:OfferingKnapsack12"},
    "search": {"population": 8, "generations": 3, "seed": 3},
    "evaluation": {"backend": "serial"},
}
SHORTER = (line_removed, truncated)  # what can leave whole lines out, which are missing then, and not wrong


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a finished run with everything in it that emoprune writes."""
    searching = emoprune.search(SETTINGS, runs=tmp_path_factory.mktemp("whole"), name="whole")
    list(searching)
    audit(searching.run, candidates=3)
    recover(searching.run, "knee")
    return searching.run


@pytest.fixture(scope="module")
def older(whole: Run) -> Path:
    """Return the same run as it would be had an earlier version made it."""
    path = Path(shutil.copytree(whole.path, whole.path.with_name("older")))
    unseal(path)
    return path


@pytest.fixture(scope="module")
def numbers(whole: Run) -> dict[tuple[int, str], Any]:
    """Return every number of the run's table, by candidate and column."""
    return _numbers(whole)


def _numbers(run: Run) -> dict[tuple[int, str], Any]:
    frame = run.pareto
    derived = {"rank", "crowding", "knee", "feasible"}  # of the rows and splits that there are
    return {
        (row["candidate_id"], name): value
        for row in output.rows(frame)
        for name, value in row.items()
        if name not in derived and not name.startswith("delta.")
    }


def looked_at(path: Path, _: Path) -> None:
    run = open_run(path)
    output.status(run, as_json=False)
    output.status(run, as_json=True)
    output.front_csv(run, wide=True)
    output.front_json(run, wide=True)
    _ = (run.history, run.generations, run.marked, run.stages, run.config, run.reconsidered)


def tabled(path: Path, _: Path) -> None:
    output.front_table(open_run(path), wide=True)


def reported(path: Path, elsewhere: Path) -> None:
    write_page(open_run(path), elsewhere / "report.html")


def exported(path: Path, _: Path) -> None:
    export(open_run(path), "knee")


def resumed(path: Path, _: Path) -> None:
    list(emoprune.resume(path))


def repaired(path: Path, elsewhere: Path) -> None:
    mended = mended_copy(path)
    try:
        list(emoprune.resume(mended))
        looked_at(mended, elsewhere)
    except RunCorrupt as error:
        raise AssertionError(f"what was repaired is not whole: {error}") from error


def mended_copy(path: Path) -> Path:
    copy = repair(path).folder
    assert not [check for check in check_run(copy) if check.health is Health.FAIL]
    return copy


def repaired_as_far(path: Path, _: Path) -> None:
    list(emoprune.resume(mended_copy(path)))  # a number that fits its checksum stays, and a resume may stumble over it


CHEAP = (looked_at, tabled)
DEAR = (resumed, repaired, exported, reported)
FORGED = (resumed, repaired_as_far, exported, reported)
Verb = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Damaged:
    """A copy of a run with one file damaged, and how, in words."""

    path: Path
    file: Path
    how: str
    shorter: bool


def damaged(run: Path, folder: Path, count: int, seed: int, *, resealed: bool = False) -> Iterator[Damaged]:
    """Yield `count` damaged copies, each kind of damage and each file in turn."""
    rng, files = np.random.default_rng(seed), [path.relative_to(run) for path in files_of(run)]
    kinds = RESEALED if resealed else MUTATIONS
    order = [(kind, file) for kind in kinds for file in files]
    for number in range(count):
        kind, file = order[int(rng.integers(len(order)))]
        copy = Path(shutil.copytree(run, folder / f"run{number}"))
        if mutate(copy / file, kind, rng):
            if resealed:
                reseal(copy / file)
            yield Damaged(copy, file, f"{kind.__name__} in {file}, number {number} of seed {seed}", kind in SHORTER)
        shutil.rmtree(copy, ignore_errors=True)
        shutil.rmtree(copy.with_name(f"{copy.name}-repaired"), ignore_errors=True)


def refused(verb: Verb, each: Damaged, elsewhere: Path) -> bool:
    """Do it, and say whether it was refused; anything but one of our own errors is a mistake."""
    try:
        verb(each.path, elsewhere)
    except EmopruneError:
        return True
    except Exception as error:
        raise AssertionError(f"{verb.__name__}: {each.how}: {type(error).__name__}: {error}") from error
    return False


def found(each: Damaged) -> bool:
    return any(check.health is Health.FAIL for check in check_run(each.path))


def check_numbers(each: Damaged, numbers: dict[tuple[int, str], Any]) -> None:
    """Check that a table of a damaged run shows the numbers that there were, or none."""
    try:
        shown = _numbers(Run(each.path))
    except EmopruneError:
        return
    wrong = {key: value for key, value in shown.items() if value is not None and value != numbers.get(key)}
    status = {key for key in wrong if key[1].endswith(".status") and each.shorter}
    assert not {key: value for key, value in wrong.items() if key not in status}, each.how


def attack(run: Path, folder: Path, count: int, *, seed: int, all_of_it: bool, numbers: Any = None, **how: Any) -> None:
    """Damage a run `count` times and use it each time; of the slow verbs one every third time, unless all of it."""
    for number, each in enumerate(damaged(run, folder, count, seed, **how)):
        try:
            is_found = found(each)
        except Exception as error:
            raise AssertionError(f"doctor: {each.how}: {type(error).__name__}: {error}") from error
        for verb in CHEAP:
            assert not refused(verb, each, folder) or is_found, (
                f"{verb.__name__} refuses what doctor finds whole: {each.how}"
            )
        if numbers is not None:
            check_numbers(each, numbers)
        verbs = FORGED if how.get("resealed") else DEAR
        in_turn = verbs[number // 3 % len(verbs)] if number % 3 == 0 else None
        for verb in verbs:
            if all_of_it or verb is in_turn:
                refused(verb, each, folder)


@pytest.mark.slow
def test_no_damage_is_an_internal_error_or_shows_another_number(
    whole: Run, numbers: dict[tuple[int, str], Any], tmp_path: Path
) -> None:
    attack(whole.path, tmp_path, 80, seed=1, all_of_it=False, numbers=numbers)


def test_damage_whose_checksum_fits_is_no_internal_error_either(whole: Run, tmp_path: Path) -> None:
    attack(whole.path, tmp_path, 40, seed=2, all_of_it=False, resealed=True)


def test_a_damaged_run_without_checksums_is_no_internal_error(older: Path, tmp_path: Path) -> None:
    attack(older, tmp_path, 40, seed=3, all_of_it=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_much_damage_is_no_internal_error_and_shows_no_other_number(
    whole: Run, older: Path, numbers: dict[tuple[int, str], Any], tmp_path: Path
) -> None:
    attack(whole.path, tmp_path, 250, seed=4, all_of_it=True, numbers=numbers)
    attack(whole.path, tmp_path, 120, seed=5, all_of_it=True, resealed=True)
    attack(older, tmp_path, 120, seed=6, all_of_it=True)
