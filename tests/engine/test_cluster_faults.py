"""The Ray backend when workers die, hang or never start, and when machines go: real faults.

They happen on a cluster of two machines, which Ray simulates on this one.
"""

from __future__ import annotations

import logging
import textwrap
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import ray
from cluster_for_tests import (
    Cramped,
    Fatal,
    NoSetup,
    Noted,
    Start,
    actors,
    in_process,
    never,
    noted,
    outcomes,
    tickets_of,
)
from problems_for_tests import Knapsack12
from ray.cluster_utils import Cluster

from emoprune.contracts import Problem
from emoprune.errors import ConfigError, WorkersLost
from emoprune.evaluation.tickets import Outcome
from emoprune.records import Status


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines of one CPU each, so that two workers are never on one; this process is connected to them."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    ray.init(made.address, log_to_driver=False, logging_level=logging.ERROR)
    yield made
    ray.shutdown()
    made.shutdown()  # type: ignore[no-untyped-call]  # ray leaves it untyped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for notes on what was measured."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def victim(count: int = 24) -> int:
    """The candidate that faults are arranged for, somewhere in the middle."""
    return sorted(tickets_of(Knapsack12(), count), key=lambda ticket: ticket.key)[count // 2].candidate.id


def test_a_killed_worker_costs_nothing_but_time(started: Start, marks: Path) -> None:
    problem = Fatal(marks, "kill", [victim()], times=1)
    tickets = tickets_of(problem, 24)
    finished = [each for piece in started(problem, chunk=6).run(tickets, never) for each in piece]
    assert {each.ticket.candidate.id: each.outcome for each in finished} == in_process(Knapsack12(), tickets)
    assert len(finished) == 24
    assert {each.ticket.candidate.id: each.ran.attempts for each in finished}[victim()] == 2
    assert len(list(marks.iterdir())) == 1


@pytest.mark.parametrize("chunk", [1, 6])
def test_a_candidate_that_kills_every_worker_is_crashed_after_as_many_retries_as_were_promised(
    started: Start, marks: Path, chunk: int
) -> None:
    problem = Fatal(marks, "kill", [victim()], times=None)
    tickets = tickets_of(problem, 24)
    found = outcomes(started(problem, chunk=chunk, retries=1).run(tickets, never))
    assert found[victim()].status is Status.CRASHED
    assert "the worker died" in str(found[victim()].reason)
    assert found == in_process(Knapsack12(), tickets) | {victim(): found[victim()]}
    assert len(list(marks.iterdir())) == 2


def test_long_evaluations_are_measured_once_and_by_the_workers_that_began(started: Start, folder: Path) -> None:
    """The first ones too, of which nobody knows that two of them would be late."""
    problem = Noted(folder, folder, "kill", [], 0, pause=0.22)
    tickets = tickets_of(problem, 16)
    backend = started(problem, time_limit=0.6)
    assert outcomes(backend.run(tickets, never)) == in_process(Knapsack12(), tickets)
    assert set(noted(folder).values()) == {1}
    assert len(list(folder.iterdir())) <= 2


@pytest.mark.parametrize("fault", ["kill", "hang"])
def test_what_a_worker_had_finished_before_it_was_lost_is_not_measured_again(
    started: Start, marks: Path, folder: Path, fault: str
) -> None:
    problem = Noted(folder, marks, fault, [victim()], 1, pause=0.02)
    tickets = tickets_of(problem, 24)
    backend = started(problem, time_limit=2.0)
    found = outcomes(backend.run(tickets, never))
    assert {number for number, outcome in found.items() if outcome.status is not Status.OK} <= {victim()}
    assert set(noted(folder).values()) == {1}
    assert len(noted(folder)) == sum(outcome.status is Status.OK for outcome in found.values())


def test_memory_that_runs_out_lowers_how_many_are_measured_at_a_time_and_blames_nobody(
    started: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problem = Cramped(folder)
    tickets = tickets_of(problem, 16)
    backend = started(problem)
    with caplog.at_level(logging.WARNING, "emoprune.cluster"):
        assert outcomes(backend.run(tickets, never)) == in_process(Knapsack12(), tickets)
    assert "memory ran out: from now on at most 1 candidates are measured at a time" in caplog.text


def test_a_candidate_for_which_memory_runs_out_alone_is_blamed_and_costs_no_worker(
    started: Start, folder: Path
) -> None:
    problem = Cramped(folder, [victim(8)])
    tickets = tickets_of(problem, 8)
    backend = started(problem)
    found = outcomes(backend.run(tickets, never))
    assert [number for number, outcome in found.items() if outcome.status is not Status.OK] == [victim(8)]
    assert found[victim(8)].status is Status.OUT_OF_MEMORY
    assert backend.workers == 2


@pytest.mark.parametrize("chunk", [1, 2])
def test_an_evaluation_that_hangs_is_timed_out_and_the_others_are_not(started: Start, marks: Path, chunk: int) -> None:
    problem = Fatal(marks, "hang", [victim(8)], times=None)
    tickets = tickets_of(problem, 8)
    begun = time.monotonic()
    found = outcomes(started(problem, chunk=chunk, time_limit=1.0).run(tickets, never))
    late = Outcome(Status.TIMEOUT, reason="not finished after 1 s")
    assert found == in_process(Knapsack12(), tickets) | {victim(8): late}
    assert len(list(marks.iterdir())) == (1 if chunk == 1 else 2)
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(("fault", "said"), [("abort", "GeneratorExit"), ("leave", "SystemExit: 5")])
def test_what_escapes_the_problem_is_an_error_of_its_candidate_alone(
    started: Start, marks: Path, fault: str, said: str
) -> None:
    problem = Fatal(marks, fault, [victim(8)], times=None)
    found = outcomes(started(problem, chunk=4).run(tickets_of(problem, 8), never))
    assert found == in_process(problem, tickets_of(problem, 8))
    assert found[victim(8)].status is Status.ERROR
    assert said in str(found[victim(8)].reason)
    assert sum(outcome.status is Status.OK for outcome in found.values()) == 7


def test_workers_that_all_die_end_the_run_in_bounded_time(started: Start, marks: Path) -> None:
    problem = Fatal(marks, "kill", None, times=None)
    backend = started(problem)
    with pytest.raises(WorkersLost, match="workers died with 5 different candidates in a row"):
        outcomes(backend.run(tickets_of(problem, 100), never))
    assert len(list(marks.iterdir())) <= 10


def test_a_setup_that_raises_everywhere_shows_its_traceback(cluster: Cluster, marks: Path) -> None:
    backend = actors()
    backend.open()
    with pytest.raises(WorkersLost, match="no worker is left") as lost:
        backend.start(NoSetup(marks, "raise"))
    backend.close()
    assert "cluster_for_tests.py" in str(lost.value)
    assert "in fail" in str(lost.value)
    assert "ValueError: the images are not where they should be" in str(lost.value)


def test_a_setup_that_leaves_everywhere_shows_its_traceback(cluster: Cluster, marks: Path) -> None:
    backend = actors(workers=1)
    backend.open()
    with pytest.raises(WorkersLost, match=r"it called sys\.exit\(3\)"):
        backend.start(NoSetup(marks, "leave"))
    backend.close()


def test_a_setup_that_ends_its_process_everywhere_is_noticed(cluster: Cluster, marks: Path) -> None:
    backend = actors(workers=1)
    backend.open()
    with pytest.raises(WorkersLost, match=r"failed to start \d times in a row: .*process has died"):
        backend.start(NoSetup(marks, "exit"))
    backend.close()


def test_a_config_error_in_setup_stays_one(cluster: Cluster, marks: Path) -> None:
    backend = actors()
    backend.open()
    with pytest.raises(ConfigError, match=r"^the images are not where they should be$"):
        backend.start(NoSetup(marks, "config"))
    backend.close()


def test_the_run_goes_on_without_a_worker_that_does_not_come_back(
    started: Start, marks: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problem = NoSetup(marks, "raise", works=2)
    backend = started(problem)
    while len(list(marks.iterdir())) < 2:  # both have started; pytest-timeout bounds this
        time.sleep(0.05)
    tickets = tickets_of(problem, 24)
    with caplog.at_level(logging.WARNING, "emoprune.cluster"):
        found = outcomes(backend.run(tickets, never))
        while backend.workers == 2:  # the run may end before the replacement has failed often enough
            outcomes(backend.run(tickets[:1], never))
    assert found == in_process(Knapsack12(), tickets)
    assert "going on with 1 of 2 workers" in caplog.text
    assert "the images are not where they should be" in caplog.text


def test_code_that_is_not_installed_travels_to_other_machines(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are gone before workers start, as they are on a machine that never had them."""
    package = tmp_path / "travelling"
    package.mkdir()
    (package / "__init__.py").write_text("from travelling.problem import Travelling\n")
    (package / "scale.py").write_text("FACTOR = 3\n\ndef scaled(rows):\n    return FACTOR * rows\n")
    (package / "problem.py").write_text(
        textwrap.dedent("""
            from problems_for_tests import Knapsack12
            from travelling import scale

            class Travelling(Knapsack12):
                def evaluate(self, genomes, seeds, split):
                    return scale.scaled(super().evaluate(genomes, seeds, split))
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    problem: Problem = import_module("travelling").Travelling()
    for file in package.rglob("*.py*"):
        file.unlink()
    tickets = tickets_of(problem, 8)
    assert outcomes(started(problem).run(tickets, never)) == in_process(problem, tickets)


@pytest.mark.slow  # it takes Ray a while to notice
def test_a_machine_that_goes_costs_nothing_but_time(started: Start, cluster: Cluster) -> None:
    extra = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    problem = Knapsack12(pause=0.1)
    tickets = tickets_of(problem, 90)
    backend = started(problem, workers=3, chunk=2)
    pieces = []
    for piece in backend.run(tickets, never):
        pieces.append(piece)
        if len(pieces) == 6:
            cluster.remove_node(extra, allow_graceful=False)
    assert outcomes(iter(pieces)) == in_process(Knapsack12(), tickets)
    wait_for_machines(2)


def wait_for_machines(count: int) -> None:
    """Wait until Ray has noticed who is there; pytest-timeout bounds this."""
    while sum(node["Alive"] for node in ray.nodes()) != count:  # type: ignore[no-untyped-call]  # ray leaves it untyped
        time.sleep(0.2)


@pytest.mark.slow  # waits for a start limit
def test_a_machine_that_stays_away_is_given_up_and_found_again(
    started: Start, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    extra = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    problem = Knapsack12(pause=0.1)
    tickets = tickets_of(problem, 12)
    backend = started(problem, workers=3, start_limit=20.0)
    cluster.remove_node(extra, allow_graceful=False)
    while backend.workers == 3:
        assert len(outcomes(backend.run(tickets, never))) == 12
    assert "not placed and set up within 20 s" in caplog.text
    extra = cluster.add_node(num_cpus=1)
    while backend.workers == 2:
        assert len(outcomes(backend.run(tickets, never))) == 12
    cluster.remove_node(extra, allow_graceful=False)
    wait_for_machines(2)
