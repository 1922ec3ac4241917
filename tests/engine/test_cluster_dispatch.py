"""The Ray backend without any Ray: what fits on machines, what a lost worker means for its tickets."""

from __future__ import annotations

import re

import pytest
from cluster_for_tests import actors, tickets_of
from hypothesis import given
from hypothesis import strategies as st
from problems_for_tests import Knapsack12
from ray.exceptions import ActorDiedError, RayError, WorkerCrashedError

from emoprune.cluster.dispatch import Chunk, Queue
from emoprune.cluster.failures import reason
from emoprune.cluster.resources import Share, check_room, room
from emoprune.errors import ConfigError, ResourcesUnavailable
from emoprune.evaluation.backends import Finished, Pace
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
    assert room(machines, share) == fit


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
    fit = room(machines, share)
    if fit >= workers or (cpus == 0 and gpus == 0):
        check_room(workers, share, machines)
        return
    with pytest.raises(ResourcesUnavailable, match=f"room for {workers} workers, found room for {fit} "):
        check_room(workers, share, machines)


OK = Outcome(Status.OK, (1.0,))
BAD = Outcome(Status.CRASHED, reason="the worker died")


def queue_of(count: int, chunk: int, *, retries: int = 2, patience: int = 5) -> Queue:
    return Queue(Pace(chunk, None).cut(tickets_of(Knapsack12(), count), 2), retries, patience)


@given(
    count=st.integers(1, 20),
    chunk=st.integers(1, 8),
    retries=st.integers(0, 3),
    fates=st.lists(st.sampled_from(["measured", "lost", "blamed"]), min_size=200, max_size=200),
)
def test_every_ticket_leaves_the_queue_once_and_in_bounded_attempts(
    count: int, chunk: int, retries: int, fates: list[str]
) -> None:
    queue = queue_of(count, chunk, retries=retries)
    finished: list[Finished] = []
    for fate in fates:
        if queue:
            finished += settled(queue, queue.take(), fate)
    assert not queue
    assert len({each.ticket.candidate.id for each in finished}) == len(finished) == count
    assert max(each.ran.attempts for each in finished) <= retries + 2


def settled(queue: Queue, chunk: Chunk, fate: str) -> list[Finished]:
    if fate == "measured":
        return queue.measured(chunk, [OK] * len(chunk), "worker", 1.0)
    return queue.lost(chunk, BAD, "worker", 1.0) if fate == "lost" else queue.blamed(chunk, BAD, "worker", 1.0)


@given(fatal=st.sets(st.integers(0, 19)), chunk=st.integers(1, 8), retries=st.integers(0, 2))
def test_exactly_the_candidates_that_kill_workers_are_blamed(fatal: set[int], chunk: int, retries: int) -> None:
    ordered = sorted(tickets_of(Knapsack12(), 20), key=lambda ticket: ticket.key)
    sick = {ordered[place].candidate.id for place in fatal}
    queue = queue_of(20, chunk, retries=retries)
    finished: list[Finished] = []
    while queue:
        taken = queue.take()
        dies = any(ticket.candidate.id in sick for ticket in taken.tickets)
        finished += settled(queue, taken, "lost" if dies else "measured")
    assert {each.ticket.candidate.id for each in finished if each.outcome is BAD} == sick
    assert {each.ticket.candidate.id for each in finished if each.outcome is OK} == {
        ticket.candidate.id for ticket in ordered
    } - sick


@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_a_sick_minority_at_the_end_is_not_taken_for_sick_workers(chunk: int) -> None:
    ordered = sorted(tickets_of(Knapsack12(), 20), key=lambda ticket: ticket.key)
    sick = {ticket.candidate.id for ticket in ordered[-9:]}
    queue = queue_of(20, chunk)
    while queue:
        taken = queue.take()
        dies = any(ticket.candidate.id in sick for ticket in taken.tickets)
        settled(queue, taken, "lost" if dies else "measured")
        assert not queue.hopeless


@pytest.mark.parametrize(("chunk", "retries"), [(1, 0), (1, 2), (4, 2), (64, 2)])
def test_one_candidate_that_kills_every_worker_is_never_hopeless(chunk: int, retries: int) -> None:
    queue = queue_of(1, chunk, retries=retries, patience=3)
    losses = 0
    while queue:
        queue.lost(queue.take(), BAD, "worker", 1.0)
        losses += 1
        assert not queue.hopeless
    assert losses == retries + 1


def test_workers_that_only_ever_die_are_soon_hopeless() -> None:
    queue = queue_of(40, 5)
    losses = 0
    while not queue.hopeless:
        queue.lost(queue.take(), BAD, "worker", 1.0)
        losses += 1
    assert losses == 6  # one chunk, and five of its tickets alone


def test_one_result_gives_new_hope() -> None:
    queue = queue_of(40, 1, patience=2)
    queue.lost(queue.take(), BAD, "worker", 1.0)
    queue.measured(queue.take(), [OK], "worker", 1.0)
    queue.lost(queue.take(), BAD, "worker", 1.0)
    assert not queue.hopeless
    queue.lost(queue.take(), BAD, "worker", 1.0)
    assert queue.hopeless


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
