"""From candidates to evaluations: seeds, chunks, failures as records, time limits, nothing paid twice."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems_for_tests import Knapsack12

from emoprune.contracts import Failure
from emoprune.errors import WorkersLost
from emoprune.evaluation.backends import Pace
from emoprune.evaluation.evaluator import Evaluator
from emoprune.evaluation.serial import Serial
from emoprune.evaluation.tickets import Ticket, measure
from emoprune.records import Candidate, Evaluation, Split, Status, seed_for
from emoprune.space import IntArray


def candidates_of(problem: Knapsack12, count: int) -> list[Candidate]:
    genomes = np.random.default_rng(5).permuted(np.arange(2 ** len(problem.space)))[:count]
    bits = (genomes[:, None] >> np.arange(len(problem.space))) & 1
    return [Candidate(number, genome, 0, "initial") for number, genome in enumerate(bits)]


def never() -> bool:
    return False


def evaluated(
    problem: Knapsack12,
    candidates: Sequence[Candidate],
    *,
    chunk: int | None = None,
    limit: float | None = None,
    known: Sequence[Evaluation] = (),
) -> dict[int, Evaluation]:
    backend = Serial("cpu", 1, limit, chunk)
    backend.start(problem)
    keys = {(problem.space.key(each.candidate.genome), each.split, each.begun): each for each in known}
    evaluator = Evaluator(problem, 1, keys)
    recalled, tickets = evaluator.recalled_and_due(candidates, Split.SEARCH)
    paid = [evaluator.recorded(each) for piece in backend.run(tickets, never) for each in piece]
    return {each.candidate.id: each for each in [*recalled, *paid]}


class Broken(Knapsack12):
    """A knapsack that answers `answer()` in place of the rows of genomes that begin with a kept item."""

    def __init__(self, answer: Callable[[], object]) -> None:
        super().__init__()
        self.answer = answer

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> list[object]:  # type: ignore[override]
        rows = super().evaluate(genomes, seeds, split)  # type: ignore[arg-type]  # handed through
        return [self.answer() if genome[0] else row for genome, row in zip(genomes, rows, strict=True)]


def raising() -> object:
    raise ZeroDivisionError("no worth at all")


def leaving() -> object:
    sys.exit(5)


def closing() -> object:
    raise GeneratorExit("gone")


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def speechless() -> object:
    raise SpeechlessError


def endless() -> Iterator[float]:
    while True:
        yield 0.5


def torn() -> Iterator[float]:
    yield 0.5
    raise ConnectionError("the rest of the row is elsewhere")


class Unreadable:
    def __iter__(self) -> NoReturn:
        sys.exit(3)


class Unspeakable(float):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def hanging() -> object:
    time.sleep(60)
    return None


def exhausted() -> object:
    raise MemoryError("asked for too much")


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (lambda: [float("nan"), 1.0], Status.INVALID, "expected finite numbers, found (nan, 1.0)"),
        (lambda: [0.0, float("inf")], Status.INVALID, "expected finite numbers"),
        (lambda: [0.0, float("-inf")], Status.INVALID, "expected finite numbers"),
        (lambda: [0.0], Status.INVALID, "expected 2 numbers, found [0.0]"),
        (lambda: np.zeros((2, 2)), Status.INVALID, "expected plain numbers"),
        (lambda: None, Status.INVALID, "expected 2 numbers, found NoneType"),
        (lambda: ["0.5", "1"], Status.INVALID, "expected plain numbers"),
        (lambda: [1j, 0.0], Status.INVALID, "expected plain numbers"),
        (lambda: [None, 0.0], Status.INVALID, "expected plain numbers"),
        (lambda: 3.0, Status.INVALID, "expected 2 numbers, found float"),
        (lambda: [10**400, 1.0], Status.INVALID, "expected finite numbers, found (inf, 1.0)"),
        (lambda: [0.0, -(10**400)], Status.INVALID, "expected finite numbers, found (0.0, -inf)"),
        (lambda: [sys.float_info.max, 1.0], Status.INVALID, "expected numbers between -1e+100 and 1e+100, found"),
        (lambda: [0.0, -1.1e100], Status.INVALID, "return a Failure for a genome that is to count as bad"),
        (lambda: np.array([0.0, 1e300]), Status.INVALID, "expected numbers between"),
        (torn, Status.INVALID, "found a row that cannot be read: ConnectionError: the rest of the row is elsewhere"),
        (endless, Status.INVALID, "expected 2 numbers, found [0.5, 0.5, 0.5]"),
        (Unreadable, Status.INVALID, "found a row that cannot be read: SystemExit: 3"),
        (lambda: [Unspeakable(1.0)], Status.INVALID, "found a row that cannot be read: RuntimeError: no words"),
        (lambda: Failure("the solver gave up"), Status.ERROR, "the solver gave up"),
        (lambda: Failure(""), Status.ERROR, "the problem gives no reason"),
        (lambda: Failure(" \n"), Status.ERROR, "the problem gives no reason"),
        (lambda: Failure(None), Status.ERROR, "the problem gives no reason"),  # type: ignore[arg-type]  # on purpose
        (lambda: Failure(ValueError("nothing left")), Status.ERROR, "nothing left"),  # type: ignore[arg-type]  # likewise
        (leaving, Status.ERROR, "SystemExit: 5 (leaving, line"),
        (closing, Status.ERROR, "GeneratorExit: gone"),
        (speechless, Status.ERROR, "SpeechlessError: it cannot say more"),
        (raising, Status.ERROR, "ZeroDivisionError: no worth at all"),
        (exhausted, Status.OUT_OF_MEMORY, "MemoryError: asked for too much"),
    ],
)
def test_whatever_a_problem_answers_becomes_a_record_and_costs_no_other_genome_its_result(
    answer: Callable[[], object], status: Status, reason: str
) -> None:
    candidates = candidates_of(Knapsack12(), 20)
    good = evaluated(Knapsack12(), candidates)
    found = evaluated(Broken(answer), candidates, chunk=7)
    for candidate in candidates:
        evaluation = found[candidate.id]
        if candidate.genome[0]:
            assert evaluation.status is status
            assert reason in str(evaluation.reason)
        else:
            assert evaluation.values == good[candidate.id].values


def test_a_reason_as_long_as_a_log_is_cut() -> None:
    found = evaluated(Broken(lambda: Failure("x" * 1_000_000)), candidates_of(Knapsack12(), 10))
    reasons = [each.reason for each in found.values() if not each.ok]
    assert reasons
    assert all(reason is not None and len(reason) == 2_000 and reason.endswith("x...") for reason in reasons)


def test_the_largest_numbers_that_count_are_measured() -> None:
    found = evaluated(Broken(lambda: [1e100, -1e100]), candidates_of(Knapsack12(), 10))
    assert all(each.ok for each in found.values())


class Lazy(Knapsack12):
    """Answers rows of which nobody knows how many there are before they are read."""

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> object:  # type: ignore[override]
        return (row for row in super().evaluate(genomes, seeds, split))  # type: ignore[arg-type]  # handed through


def test_rows_without_a_number_of_them_are_invalid() -> None:
    found = evaluated(Lazy(), candidates_of(Knapsack12(), 3), chunk=3)  # type: ignore[arg-type]
    assert {each.reason for each in found.values()} == {"expected 3 rows, found generator"}


class Collapsing(Knapsack12):
    """Answers rows that cannot be read if there are more than one."""

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> object:  # type: ignore[override]
        rows = super().evaluate(genomes, seeds, split)  # type: ignore[arg-type]  # handed through
        return Collapsed(rows)


class Collapsed(list[object]):
    def __iter__(self) -> Iterator[object]:
        if len(self) > 1:
            raise OSError("the file of the rows is gone")
        return super().__iter__()


def test_rows_that_cannot_be_read_are_measured_one_by_one() -> None:
    candidates = candidates_of(Knapsack12(), 5)
    found = evaluated(Collapsing(), candidates, chunk=5)  # type: ignore[arg-type]
    assert {n: each.values for n, each in found.items()} == {
        n: each.values for n, each in evaluated(Knapsack12(), candidates).items()
    }


def test_numpy_numbers_are_plain_enough() -> None:
    found = evaluated(Broken(lambda: [np.float32(0.5), np.int64(3)]), candidates_of(Knapsack12(), 20))
    assert {0.5} == {each.values["loss"] for each in found.values() if each.candidate.genome[0]}


class Miscounting(Knapsack12):
    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> object:  # type: ignore[override]
        return super().evaluate(genomes, seeds, split)[1:]  # type: ignore[arg-type]  # handed through


def test_a_missing_row_makes_the_whole_chunk_invalid_because_nobody_knows_whose_it_is() -> None:
    found = evaluated(Miscounting(), candidates_of(Knapsack12(), 5), chunk=5)  # type: ignore[arg-type]
    assert {each.reason for each in found.values()} == {"expected 5 rows, one per genome, found 4"}


def test_an_evaluation_that_hangs_ends_as_a_timeout_and_the_rest_of_its_chunk_is_measured() -> None:
    candidates = [
        Candidate(0, np.zeros(12, dtype=np.int64), 0, "initial"),
        Candidate(1, np.ones(12, dtype=np.int64), 0, "x"),
    ]
    begun = time.monotonic()
    found = evaluated(Broken(hanging), candidates, chunk=2, limit=0.3)
    assert found[0].ok
    assert found[1].status is Status.TIMEOUT
    assert found[1].reason == "not finished after 0.3 s"
    assert time.monotonic() - begun < 30


class Stubborn(Knapsack12):
    """Swallows every Exception while it hangs."""

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> object:  # type: ignore[override]
        try:
            time.sleep(60)
        except Exception:
            time.sleep(60)
        return [[0.0, 0.0]] * len(genomes)


def test_a_problem_that_swallows_exceptions_cannot_swallow_the_time_limit() -> None:
    found = evaluated(Stubborn(), candidates_of(Knapsack12(), 1), limit=0.3)  # type: ignore[arg-type]
    assert found[0].status is Status.TIMEOUT


def test_what_is_known_is_not_paid_again() -> None:
    candidates = candidates_of(Knapsack12(), 10)
    first = evaluated(Knapsack12(), candidates[:6])
    recalled = evaluated(Broken(raising), candidates[:6], known=list(first.values()))
    assert {number: each.values for number, each in recalled.items()} == {n: each.values for n, each in first.items()}


@pytest.mark.parametrize("chunk", [1, 3, 64, None])
def test_the_values_do_not_depend_on_how_the_work_is_cut(chunk: int | None) -> None:
    problem = Knapsack12(noise=0.1)
    candidates = candidates_of(problem, 50)
    whole, cut = evaluated(problem, candidates, chunk=50), evaluated(problem, candidates, chunk=chunk)
    assert {n: each.values for n, each in whole.items()} == {n: each.values for n, each in cut.items()}


def test_after_a_stop_no_new_chunk_is_begun() -> None:
    backend = Serial("cpu", 1, None, 5)
    backend.start(Knapsack12())
    done: list[int] = []
    _, tickets = Evaluator(Knapsack12(), 1, {}).recalled_and_due(candidates_of(Knapsack12(), 50), Split.SEARCH)
    pieces = backend.run(tickets, lambda: len(done) >= 10)
    for piece in pieces:
        done += [each.ticket.candidate.id for each in piece]
    assert len(done) == 10


class Unready(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        raise OSError("the data set is not there")


def test_a_setup_that_fails_says_why() -> None:
    with pytest.raises(WorkersLost, match="setup failed: OSError: the data set is not there"):
        Serial("cpu", 1, None, None).start(Unready())


class Leaving(Knapsack12):
    def setup(self, device: str, threads: int) -> None:
        sys.exit(3)


def test_a_setup_that_would_end_the_program_does_not() -> None:
    with pytest.raises(WorkersLost, match=r"setup failed: RuntimeError: it called sys\.exit\(3\)"):
        Serial("cpu", 1, None, None).start(Leaving())


class RingingLate(Knapsack12):
    """Is done just as its time is up: the alarm rings again and again while it returns."""

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> object:  # type: ignore[override]
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        return super().evaluate(genomes, seeds, split)  # type: ignore[arg-type]  # handed through


def test_an_alarm_at_the_last_moment_leaves_no_alarm_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    statuses = {evaluated(RingingLate(), candidates_of(Knapsack12(), 1), limit=60)[0].status for _ in range(300)}  # type: ignore[arg-type]
    assert statuses <= {Status.OK, Status.TIMEOUT}
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_backend_that_was_not_started_says_so() -> None:
    ticket = Ticket(candidates_of(Knapsack12(), 1)[0], Split.SEARCH, 1, b"k")
    with pytest.raises(WorkersLost, match=r"call start\(problem\) before run"):
        list(Serial("cpu", 1, None, None).run([ticket], never))


def test_measuring_names_the_place_of_the_error() -> None:
    problem = Broken(raising)
    problem.setup("cpu", 1)
    outcome = measure(problem, [Ticket(Candidate(0, np.ones(12, dtype=np.int64), 0, "x"), Split.SEARCH, 1, b"k")])[0]
    assert "(raising, line" in str(outcome.reason)


@given(st.integers(0, 2**63 - 1), st.binary(max_size=30))
def test_a_seed_depends_on_run_genome_and_split_alone(run_seed: int, key: bytes) -> None:
    seeds = {seed_for(run_seed, key, split) for split in Split}
    assert len(seeds) == 3
    assert seeds == {seed_for(run_seed, key, split) for split in Split}
    assert all(0 <= seed < 2**64 for seed in seeds)


def learnt(*seconds: float, chunk: int | None = None) -> Pace:
    pace = Pace(chunk, 60.0)
    for each in seconds:
        pace.note(each, 1)
    return pace


def test_a_chunk_is_one_candidate_while_nobody_knows_how_long_an_evaluation_takes() -> None:
    assert (learnt().length, learnt().stretch) == (1, 1)
    assert (learnt(chunk=7).length, learnt(chunk=7).stretch) == (7, 1)


@pytest.mark.parametrize(
    ("seconds", "length", "stretch"),
    [(2.2, 1, 1), (0.06, 1, 1), (0.03, 1, 3), (0.006, 1, 16), (0.001, 10, 10), (0.0001, 64, 15), (1e-9, 64, 256)],
)
def test_chunks_and_stretches_are_as_long_as_handing_them_over_is_worth(
    seconds: float, length: int, stretch: int
) -> None:
    pace = learnt(seconds)
    assert (pace.length, pace.stretch) == (length, stretch)


def test_a_slow_evaluation_among_quick_ones_is_not_soon_forgotten() -> None:
    assert learnt(0.001, 2.0).length == 1
    assert learnt(2.0, *[0.001] * 5).length == 1
    assert learnt(2.0, *[0.001] * 20).length == 10


@pytest.mark.parametrize("chunk", [None, 8])
def test_what_was_measured_in_process_is_handed_over_before_the_next_long_evaluation(chunk: int | None) -> None:
    problem = Knapsack12(pause=0.02)
    backend = Serial("cpu", 1, None, chunk)
    backend.start(problem)
    _, tickets = Evaluator(problem, 1, {}).recalled_and_due(candidates_of(problem, 16), Split.SEARCH)
    assert {len(piece) for piece in backend.run(tickets, never)} == {chunk or 1}


def test_a_chunk_that_was_chosen_is_late_after_one_limit_and_one_that_was_asked_for_after_one_for_each() -> None:
    assert Pace(None, 3.0).limit(20) == 3.0
    assert Pace(20, 3.0).limit(20) == 60.0
    assert Pace(None, None).limit(20) is None
