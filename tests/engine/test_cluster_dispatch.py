"""The Ray backend without any Ray: what fits on machines, what a lost worker means for its tickets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cluster_for_tests import actors, tickets_of
from hypothesis import given
from hypothesis import strategies as st
from problems_for_tests import Knapsack12
from ray.exceptions import ActorDiedError, RayError, WorkerCrashedError

from emoprune.cluster.address import check_reachable
from emoprune.cluster.dispatch import Chunk, Queue
from emoprune.cluster.failures import ended_by, reason
from emoprune.cluster.resources import Machine, Share, check_room, room
from emoprune.errors import ConfigError, ResourcesUnavailable
from emoprune.evaluation.backends import Finished
from emoprune.evaluation.tickets import Outcome
from emoprune.records import Status


@pytest.mark.parametrize(
    ("share", "machines", "fit"),
    [
        (Share(1, 0), [{"CPU": 4}], 4),
        (Share(3, 0), [{"CPU": 4}, {"CPU": 4}], 2),
        (Share(0.1, 0), [{"CPU": 0.3}], 3),
        (Share(1, 0.5), [{"CPU": 8, "GPU": 1}], 2),
        (Share(0, 1), [{"CPU": 8, "GPU": 2}, {"CPU": 8}], 2),
        (Share(0, 0), [{"CPU": 8}, {"CPU": 1}], 9),
        (Share(1, 0), [], 0),
    ],
)
def test_room_counts_whole_workers_per_machine(share: Share, machines: list[dict[str, float]], fit: int) -> None:
    assert room(list(map(Machine, machines)), share) == fit


@pytest.mark.parametrize(
    ("cpus", "gpus", "complaint"),
    [
        (1.0, 1.5, "gpus_per_worker: expected a part of one GPU or a whole number of them, found 1.5"),
        (0.00001, 0.0, "of 0 or at least 0.0001, found 1e-05 and 0"),
    ],
)
def test_a_share_that_ray_cannot_count_is_refused(cpus: float, gpus: float, complaint: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        actors(cpus_per_worker=cpus, gpus_per_worker=gpus)


parts = st.floats(0, 8).map(lambda part: round(part, 2))
some_gpus = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0])
some_machines = st.lists(st.fixed_dictionaries({"CPU": parts, "GPU": parts}), max_size=4)


@given(workers=st.integers(1, 20), cpus=parts, gpus=some_gpus, machines=some_machines)
def test_what_is_refused_says_how_many_would_fit(
    workers: int, cpus: float, gpus: float, machines: list[dict[str, float]]
) -> None:
    share = Share(cpus, gpus)
    there = list(map(Machine, machines))
    fit = room(there, share)
    if fit >= workers or (cpus == 0 and gpus == 0 and machines):
        check_room(workers, share, there)
        return
    with pytest.raises(ResourcesUnavailable, match=f"room for {workers} workers?, found room for {fit} "):
        check_room(workers, share, there)


OK = Outcome(Status.OK, (1.0,))
BAD = Outcome(Status.CRASHED, reason="the worker died")


OUT = Outcome(Status.OUT_OF_MEMORY, reason="no memory is left")
MANY = 100


def queue_of(count: int, *, workers: int = 2, retries: int = 2, patience: int = 5) -> Queue:
    return Queue(tickets_of(Knapsack12(), count), workers, retries, patience)


def settled(queue: Queue, chunk: Chunk, fate: str) -> list[Finished]:
    if fate == "measured":
        return queue.measured(chunk, [OK] * len(chunk), "worker", 1.0)
    if fate in ("lost", "doubtful"):
        return queue.lost(chunk, BAD, "worker", 1.0, certain=fate == "lost")
    if fate == "exhausted":
        return queue.exhausted(chunk, OUT, "worker", 1.0)
    return queue.blamed(chunk, BAD, "worker", 1.0)


FATES = ["measured", "lost", "doubtful", "exhausted", "blamed", "left"]


@given(
    count=st.integers(1, 20),
    length=st.integers(1, 8),
    most=st.integers(1, 5),
    settings=st.tuples(st.integers(1, 4), st.integers(0, 3)),
    fates=st.lists(st.sampled_from(FATES), min_size=400, max_size=400),
)
def test_every_ticket_leaves_the_queue_once_and_in_bounded_attempts(
    count: int, length: int, most: int, settings: tuple[int, int], fates: list[str]
) -> None:
    workers, retries = settings
    queue = queue_of(count, workers=workers, retries=retries)
    finished: list[Finished] = []
    for turn, fate in enumerate(fates):
        worker = turn % workers
        stretch = queue.take(worker, length, most)
        if fate == "left" and stretch[1:]:
            queue.returned(worker, stretch[1:])
            queue.left(worker)
            stretch = stretch[:1]
        for chunk in stretch:
            finished += settled(queue, chunk, "measured" if fate == "left" else fate)
    assert len(queue) == 0
    assert len({each.ticket.candidate.id for each in finished}) == len(finished) == count
    assert max(each.ran.attempts for each in finished) <= 2 * retries + 6  # 6 of them were seen without any retry


@given(
    fatal=st.sets(st.integers(0, 19)),
    length=st.integers(1, 8),
    most=st.integers(1, 5),
    retries=st.integers(0, 2),
    late=st.booleans(),
)
def test_exactly_the_candidates_that_kill_workers_are_blamed(
    fatal: set[int], length: int, most: int, retries: int, late: bool
) -> None:
    """`late`: the last answer before a worker's death is lost with it, so the candidate before is suspected first."""
    ordered = sorted(tickets_of(Knapsack12(), 20), key=lambda ticket: ticket.key)
    sick = {ordered[place].candidate.id for place in fatal}
    queue = queue_of(20, retries=retries)
    finished: list[Finished] = []
    while queue:
        stretch = queue.take("worker", length, most)
        deadly = [any(ticket.candidate.id in sick for ticket in chunk.tickets) for chunk in stretch]
        answers = deadly.index(True) if any(deadly) else len(stretch)
        answers -= late and 0 < answers < len(stretch)
        for chunk in stretch[:answers]:
            finished += settled(queue, chunk, "measured")
        if answers < len(stretch):
            queue.returned("worker", stretch[answers + 1 :])
            finished += settled(queue, stretch[answers], "lost" if answers == 0 and not late else "doubtful")
        late = late and len(stretch) > 1
    assert {each.ticket.candidate.id for each in finished if each.outcome is BAD} == sick
    assert {each.ticket.candidate.id for each in finished if each.outcome is OK} == {
        ticket.candidate.id for ticket in ordered
    } - sick


@given(count=st.integers(1, 200), workers=st.integers(1, 16), length=st.integers(1, 50), most=st.integers(1, 9))
def test_chunks_hold_every_ticket_once_in_key_order(count: int, workers: int, length: int, most: int) -> None:
    queue = queue_of(count, workers=workers)
    chunks: list[Chunk] = []
    while queue:
        chunks += queue.take("worker", length, most)
    keys = sorted(ticket.key for ticket in tickets_of(Knapsack12(), count))
    assert [ticket.key for chunk in chunks for ticket in chunk.tickets] == keys
    assert max(len(chunk) for chunk in chunks) <= length


def test_a_worker_gets_neighbours_and_then_half_of_what_the_slowest_has_left() -> None:
    keys = sorted(ticket.key for ticket in tickets_of(Knapsack12(), 20))
    queue = queue_of(20, workers=2)
    taken: dict[str, list[bytes]] = {"quick": [], "slow": []}
    for worker in ["slow", *["quick"] * 19]:
        taken[worker] += [chunk.tickets[0].key for chunk in queue.take(worker, 1, 1)]
    assert taken["slow"] == keys[:1]
    assert taken["quick"] == keys[10:] + keys[5:10] + keys[3:5] + keys[2:3] + keys[1:2]
    assert queue.take("slow", 1, 1) == []


def test_what_a_worker_has_not_begun_comes_next() -> None:
    queue = queue_of(20, workers=1)
    stretch = queue.take("worker", 2, 5)
    queue.returned("worker", stretch[1:])
    assert len(queue) == 18
    again = queue.take("worker", 2, 5)
    assert [chunk.tickets for chunk in again[:4]] == [chunk.tickets for chunk in stretch[1:]]
    assert all(chunk.attempt == 1 for chunk in again)


@pytest.mark.parametrize("length", [1, 4, 5])
def test_a_sick_minority_at_the_end_is_not_taken_for_sick_workers(length: int) -> None:
    ordered = sorted(tickets_of(Knapsack12(), 20), key=lambda ticket: ticket.key)
    sick = {ticket.candidate.id for ticket in ordered[-9:]}
    queue = queue_of(20)
    while queue:
        [taken] = queue.take("worker", length, 1)
        dies = any(ticket.candidate.id in sick for ticket in taken.tickets)
        settled(queue, taken, "lost" if dies else "measured")
        assert not queue.hopeless


@pytest.mark.parametrize(("length", "retries"), [(1, 0), (1, 2), (4, 2), (64, 2)])
def test_one_candidate_that_kills_every_worker_is_never_hopeless(length: int, retries: int) -> None:
    queue = queue_of(1, retries=retries, patience=3)
    losses = 0
    while queue:
        queue.lost(queue.take("worker", length, 1)[0], BAD, "worker", 1.0)
        losses += 1
        assert not queue.hopeless
    assert losses == retries + 1


def test_workers_that_only_ever_die_are_soon_hopeless() -> None:
    queue = queue_of(40)
    losses = 0
    while not queue.hopeless:
        queue.lost(queue.take("worker", 5, 1)[0], BAD, "worker", 1.0)
        losses += 1
    assert losses == 6  # one chunk, and five of its tickets alone


def test_one_result_gives_new_hope() -> None:
    queue = queue_of(40, patience=2)
    queue.lost(queue.take("worker", 1, 1)[0], BAD, "worker", 1.0)
    queue.measured(queue.take("worker", 1, 1)[0], [OK], "worker", 1.0)
    queue.lost(queue.take("worker", 1, 1)[0], BAD, "worker", 1.0)
    assert not queue.hopeless
    queue.lost(queue.take("worker", 1, 1)[0], BAD, "worker", 1.0)
    assert queue.hopeless


@pytest.mark.parametrize("fate", ["exhausted", "lost"])
def test_a_candidate_has_the_machine_to_itself_before_it_is_blamed(fate: str) -> None:
    queue = queue_of(3, workers=1, retries=1)
    suspect, *others = queue.take("worker", 1, MANY)
    assert settled(queue, suspect, fate) == []
    assert queue.take("other", 1, MANY, nobody_else=False) == []
    for chunk in others:
        settled(queue, chunk, "measured")
    [alone] = queue.take("other", 1, MANY)
    assert alone.lonely
    assert alone.tickets == suspect.tickets
    [blamed] = settled(queue, alone, fate)
    assert blamed.outcome is (OUT if fate == "exhausted" else BAD)
    assert blamed.ran.attempts == 2


@pytest.mark.parametrize("retries", range(4))
@pytest.mark.parametrize("length", [1, 6])
def test_a_candidate_that_always_kills_its_worker_is_tried_as_often_as_is_promised(length: int, retries: int) -> None:
    queue = queue_of(12, workers=1, retries=retries)
    sick = sorted(tickets_of(Knapsack12(), 12), key=lambda ticket: ticket.key)[3].candidate.id
    blamed: list[Finished] = []
    while queue:
        [chunk] = queue.take("worker", length, 1)
        dies = sick in {ticket.candidate.id for ticket in chunk.tickets}
        blamed += [each for each in settled(queue, chunk, "lost" if dies else "measured") if each.outcome is BAD]
    [only] = blamed
    assert only.ticket.candidate.id == sick
    assert only.ran.attempts == 1 + max(retries, int(length > 1))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RayError("The actor died.\nIt was killed. Some common causes include: many"), "It was killed"),
        (ActorDiedError(), "The actor died unexpectedly before finishing this task."),
        (WorkerCrashedError(), "while executing this task. Check python-core-worker-*.log files for more information."),
        (RayError(""), "RayError"),
    ],
)
def test_a_reason_is_one_line(error: RayError, said: str) -> None:
    assert "\n" not in reason(error)
    assert reason(error).endswith(said)


DIED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "


@pytest.mark.parametrize(
    ("said", "printed", "by"),
    [
        ("Worker exits with an exit code 5.", "", "exit code 5"),
        ("Worker exits with an exit code 1. The process receives a SIGTERM.", "", "exit code 1, SIGTERM"),
        ("connection error code 2. End of file.", "Fatal Python error: Segmentation fault\n", "SIGSEGV"),
        ("connection error code 2. End of file.", "Fatal Python error: Aborted\n", "SIGABRT"),
        ("connection error code 2. End of file.", "nothing special\n", "Ray knows no exit code: SIGKILL, as"),
        ("the node was preempted", "", DIED.partition(" Worker exit type")[0]),
    ],
)
def test_what_ended_a_worker_is_a_signal_or_an_exit_code_where_that_is_known(
    tmp_path: Path, said: str, printed: str, by: str
) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker-1-2-77.err").write_text(printed)
    assert ended_by(RayError(f"The actor died.\n\tpid: 77\n{DIED}{said}"), str(tmp_path)).startswith(by)


def test_the_address_of_ray_s_client_is_refused_with_two_ways_that_work() -> None:
    ways = r"RAY_ADDRESS: ray://head:10001 is .*--address head:6379.*ray job submit --address http://head:8265"
    with pytest.raises(ConfigError, match=ways):
        check_reachable("ray://head:10001", 5.0, "RAY_ADDRESS")
