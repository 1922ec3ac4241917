"""The Ray backend when all goes well, and what it refuses before anything is evaluated."""

from __future__ import annotations

import logging
import os
import textwrap
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from cluster_for_tests import Start, actors, in_process, never, outcomes, tickets_of
from numpy.typing import NDArray
from problems_for_tests import Knapsack12

from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError, ResourcesUnavailable, WorkersLost
from emoprune.evaluation.backends import Finished
from emoprune.records import Split, Status
from emoprune.space import IntArray


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of two CPUs on this machine, which backends find at hand."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.mark.parametrize(("workers", "chunk"), [(1, None), (2, None), (2, 1), (2, 7)])
def test_outcomes_are_those_of_the_in_process_backend(started: Start, workers: int, chunk: int | None) -> None:
    problem = Knapsack12(noise=0.1)
    tickets = tickets_of(problem, 50)
    backend = started(problem, workers=workers, chunk=chunk)
    assert outcomes(backend.run(tickets, never)) == in_process(problem, tickets)
    assert outcomes(backend.run(tickets[:3], never)) == in_process(problem, tickets[:3])


def test_every_result_names_its_worker_and_its_seconds(started: Start) -> None:
    problem = Knapsack12(pause=0.02)
    backend = started(problem, chunk=2)
    ran = [each.ran for piece in backend.run(tickets_of(problem, 20), never) for each in piece]
    assert all(each.attempts == 1 and 0.02 <= each.seconds < 1.0 for each in ran)
    assert 1 <= len({each.worker for each in ran}) <= 2
    assert all(each.worker.rpartition("/")[2].isdigit() for each in ran)


def test_no_tickets_are_no_work(started: Start) -> None:
    assert outcomes(started(Knapsack12(), workers=1).run([], never)) == {}


class Counted(Knapsack12):
    """A knapsack that counts how often this process pickles it."""

    pickled = 0

    def __getstate__(self) -> dict[str, Any]:
        Counted.pickled += 1
        return self.__dict__


def test_the_problem_is_sent_once_however_many_workers_and_tasks(started: Start) -> None:
    problem = Counted()
    before = Counted.pickled
    backend = started(problem, workers=2, chunk=1)
    assert len(outcomes(backend.run(tickets_of(problem, 10), never))) == 10
    assert Counted.pickled - before == 1


class Environment(Knapsack12):
    """A knapsack whose values are what its process is told about threads."""

    def setup(self, device: str, threads: int) -> None:
        self.threads = threads

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> NDArray[np.float64]:
        told = [float(os.environ["OMP_NUM_THREADS"]), float(self.threads)]
        return np.tile(told, (len(genomes), 1))


def test_workers_keep_to_their_threads(started: Start) -> None:
    problem = Environment()
    found = outcomes(started(problem, workers=1, threads=3).run(tickets_of(problem, 2), never))
    assert [outcome.values for outcome in found.values()] == [(3.0, 3.0)] * 2


def test_code_beside_the_config_is_found_by_workers_even_late(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_helper.py").write_text("def weight(genomes):\n    return genomes.sum(axis=1)\n")
    (tmp_path / "beside_config.py").write_text(
        textwrap.dedent("""
            import numpy as np
            from problems_for_tests import Knapsack12

            class Beside(Knapsack12):
                def evaluate(self, genomes, seeds, split):
                    from beside_helper import weight
                    return np.column_stack([weight(genomes), weight(genomes)])
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    problem: Problem = import_module("beside_config").Beside()
    tickets = tickets_of(problem, 4)
    found = outcomes(started(problem, workers=1).run(tickets, never))
    assert found == in_process(problem, tickets)
    assert all(outcome.status is Status.OK for outcome in found.values())


def test_a_worker_that_cannot_import_the_problem_says_so(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "vanishing.py"
    file.write_text("from problems_for_tests import Knapsack12\n\nclass Gone(Knapsack12):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    problem: Problem = import_module("vanishing").Gone()
    file.unlink()
    backend = actors(workers=1)
    backend.open()
    with pytest.raises(WorkersLost, match=r"(?s)no worker is left.*No module named 'vanishing'"):
        backend.start(problem)
    backend.close()


def test_a_problem_that_does_not_pickle_is_refused(cluster: None) -> None:
    problem = Knapsack12()
    problem.lock = (line for line in ["a generator never pickles"])  # type: ignore[attr-defined]  # the mistake is the point
    backend = actors(workers=1)
    backend.open()
    with pytest.raises(ContractError, match=r"Knapsack12 cannot be sent to workers: .*setup\(\)"):
        backend.start(problem)


def test_a_stop_drains_what_is_under_way_and_leaves_the_rest(started: Start) -> None:
    problem = Knapsack12(pause=0.05)
    tickets = tickets_of(problem, 60)
    backend = started(problem, chunk=2)
    pieces: list[list[Finished]] = []
    for piece in backend.run(tickets, lambda: bool(pieces)):
        pieces.append(piece)  # noqa: PERF402  # list() would not let `stopping` see the pieces as they come
    found = outcomes(iter(pieces))
    assert 2 <= len(found) <= 6  # the first piece, and what two workers had in hand meanwhile
    rest = [ticket for ticket in tickets if ticket.candidate.id not in found]
    found |= outcomes(backend.run(rest, never))
    assert found == in_process(Knapsack12(), tickets)


def test_a_stop_before_the_first_ticket_starts_nothing(started: Start) -> None:
    problem = Knapsack12()
    assert outcomes(started(problem, workers=1).run(tickets_of(problem, 5), lambda: True)) == {}


def test_a_stop_is_asked_for_all_the_time(started: Start) -> None:
    problem = Knapsack12(pause=1.0)
    asked: list[float] = []

    def note() -> bool:
        asked.append(time.monotonic())
        return False

    assert len(outcomes(started(problem, workers=2, chunk=1).run(tickets_of(problem, 4), note))) == 4
    # Twice a second is promised; the machine that tests may be busy, so twice that.
    assert max(np.diff(asked)) < 1.0


def test_a_run_left_early_leaves_nothing_behind(started: Start) -> None:
    problem = Knapsack12(pause=0.2)
    tickets = tickets_of(problem, 12)
    backend = started(problem, chunk=1)
    pieces = backend.run(tickets, never)
    first = next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # the backend's iterators are generators
    done = {each.ticket.candidate.id for each in first}
    rest = [ticket for ticket in tickets if ticket.candidate.id not in done]
    assert set(outcomes(backend.run(rest, never))) == {ticket.candidate.id for ticket in rest}


def test_a_ray_that_was_there_before_stays_and_gives_its_room_back(cluster: None) -> None:
    backend = actors()
    backend.close()
    backend.open()
    backend.start(Knapsack12())
    backend.close()
    backend.close()
    assert ray.is_initialized()
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2.0 and time.monotonic() < until:  # type: ignore[no-untyped-call]  # ray leaves it untyped
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 2.0  # type: ignore[no-untyped-call]  # ray leaves it untyped


@pytest.mark.parametrize(("cpus", "fit"), [(1.0, 2), (2.0, 1), (0.5, 4)])
def test_auto_means_as_many_workers_as_fit(cluster: None, cpus: float, fit: int) -> None:
    backend = actors(workers=None, cpus_per_worker=cpus)
    backend.open()
    assert backend.workers == fit


def test_run_before_start_is_refused() -> None:
    with pytest.raises(WorkersLost, match=r"call start\(problem\) before run"):
        next(actors().run([], never))


def test_more_workers_than_cores_are_refused_without_starting_ray() -> None:
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(ResourcesUnavailable, match=r"need +have") as refusal:
        actors(workers=10 * cores, address="local", start_limit=1.0).open()  # a Ray at hand could still grow
    assert f"set evaluation.workers to {cores} or auto" in str(refusal.value)
    assert "set evaluation.cpus_per_worker to 0.1" in str(refusal.value)
    assert refusal.value.exit_code == 6


def test_a_gpu_where_there_is_none_is_refused(cluster: None) -> None:
    with pytest.raises(ResourcesUnavailable, match=r"(?s)GPUs +2 +0.*set evaluation.gpus_per_worker to 0"):
        actors(gpus_per_worker=1.0, device="cuda", start_limit=1.0).open()


@pytest.mark.parametrize("address", ["head", ":6379", "head:port", "http://head:6379", "head..lab:6379"])
def test_an_address_that_is_none_is_refused(cluster: None, address: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.address: expected host:port"):
        actors(address=address).open()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379", "[::2]:6379"])
def test_another_cluster_than_the_connected_one_is_refused(cluster: None, address: str) -> None:
    with pytest.raises(ConfigError, match="this process is connected to the Ray at"):
        actors(address=address).open()


def test_the_connected_cluster_may_be_named(cluster: None) -> None:
    backend = actors(address=ray.get_runtime_context().gcs_address)
    backend.open()
    assert backend.workers == 2
