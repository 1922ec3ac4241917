"""The Ray backend on clusters whose machines come later, differ, or have what workers ask for."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from cluster_for_tests import Start, actors, in_process, marked, never, outcomes, tickets_of
from numpy.typing import NDArray
from problems_for_tests import Knapsack12
from ray.cluster_utils import Cluster

from emoprune.errors import ConfigError, ResourcesUnavailable, WorkersLost
from emoprune.evaluation.backends import Finished
from emoprune.records import Split
from emoprune.space import IntArray


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    """A head without CPUs, which this process is connected to."""
    # Hooks for the exit could only be set in the main thread, and machines join from others here.
    made = Cluster(initialize_head=True, shutdown_at_exit=False, head_node_args={"num_cpus": 0})
    ray.init(made.address, log_to_driver=False, logging_level=logging.ERROR)
    yield made
    ray.shutdown()
    made.shutdown()  # type: ignore[no-untyped-call]  # ray leaves it untyped


@pytest.fixture
def cluster(head: Cluster) -> Iterator[Cluster]:
    """The head alone; machines that join go after the test."""
    yield head
    for node in list(head.worker_nodes):
        head.remove_node(node)
    while sum(node["Alive"] for node in ray.nodes()) > 1:
        time.sleep(0.1)


def later(seconds: float, job: Callable[[], object]) -> None:
    threading.Timer(seconds, job).start()


def test_a_head_without_cpus_is_waited_for_saying_what_is_asked_for(
    cluster: Cluster, started: Start, caplog: pytest.LogCaptureFixture
) -> None:
    later(2.0, lambda: cluster.add_node(num_cpus=1))
    tickets = tickets_of(Knapsack12(), 20)
    with caplog.at_level(logging.INFO, "emoprune.cluster"):
        backend = started(Knapsack12(), workers=None)
    assert backend.workers == 1
    assert outcomes(backend.run(tickets, never)) == in_process(Knapsack12(), tickets)
    assert "waiting up to 60 s for room for 1 worker of 1 CPU; 0 fit on 1 machine so far" in caplog.text


def test_what_never_comes_is_refused_after_the_limit(cluster: Cluster) -> None:
    begun = time.monotonic()
    with pytest.raises(ResourcesUnavailable, match=r"found room for 0 on 1 machine after 2\S* s, .*start_limit"):
        actors(start_limit=2.0).open()
    assert 2 <= time.monotonic() - begun < 20


@pytest.mark.parametrize("workers", [None, 2])
def test_a_machine_that_joins_in_mid_run_is_used(
    cluster: Cluster, started: Start, monkeypatch: pytest.MonkeyPatch, workers: int | None
) -> None:
    monkeypatch.setattr("emoprune.cluster.actors.LOOK_EVERY", 0.3)
    cluster.add_node(num_cpus=2 if workers else 1)
    problem = Knapsack12(pause=0.1)
    tickets = tickets_of(problem, 200)
    backend = started(problem, workers=workers, start_limit=30.0)
    if workers:  # the machine goes, and with it both workers; another one comes
        doomed = next(iter(cluster.worker_nodes))
        later(1.0, lambda: (cluster.add_node(num_cpus=2), cluster.remove_node(doomed)))
    else:
        later(1.0, lambda: cluster.add_node(num_cpus=2))
    finished: list[Finished] = [each for piece in backend.run(tickets, never) for each in piece]
    assert {each.ticket.candidate.id: each.outcome for each in finished} == in_process(Knapsack12(), tickets)
    assert backend.workers == (2 if workers else 3)
    assert len({each.ran.worker for each in finished}) == (4 if workers else 3)


def test_workers_go_where_their_resources_and_labels_are(cluster: Cluster, started: Start) -> None:
    cluster.add_node(num_cpus=2)
    cluster.add_node(num_cpus=2, resources={"reader": 1}, labels={"pool": "spot"}, memory=3 * 2**29)
    problem = Knapsack12()
    tickets = tickets_of(problem, 10)
    for changed, fit in [
        ({"resources": {"reader": 1.0}}, 1),
        ({"labels": {"pool": "in(spot, cheap)"}}, 2),
        ({"labels": {"pool": "!spot"}}, 2),
        ({"labels": {"pool": "spot"}, "memory": 1.0}, 1),
    ]:
        backend = started(problem, workers=None, **changed)
        assert backend.workers <= fit
        backend.open()
        assert backend.workers == fit
        assert outcomes(backend.run(tickets, never)) == in_process(problem, tickets)
        backend.close()
    with pytest.raises(ResourcesUnavailable, match=r"(?s)reader +2 +1.*ask for less reader"):
        actors(workers=2, resources={"reader": 1.0}, start_limit=1.0).open()
    for cpus in (1.0, 0.0):
        with pytest.raises(
            ResourcesUnavailable,
            match=r"(?s)on 0 machines with the labels \{'pool': 'none'\} after 1 s.*node_labels$",
        ):
            actors(cpus_per_worker=cpus, labels={"pool": "none"}, start_limit=1.0).open()


class Environment(Knapsack12):
    """A knapsack whose values are what its process finds in two variables."""

    def evaluate(self, genomes: IntArray, seeds: object, split: Split) -> NDArray[np.float64]:
        return np.tile([float(os.environ["SHARDS"]), float(os.environ["OMP_NUM_THREADS"])], (len(genomes), 1))


def test_a_runtime_environment_reaches_the_workers(cluster: Cluster, started: Start) -> None:
    cluster.add_node(num_cpus=1)
    backend = started(Environment(), workers=1, threads=2, runtime_env={"env_vars": {"SHARDS": "7"}})
    found = outcomes(backend.run(tickets_of(Environment(), 2), never))
    assert {outcome.values for outcome in found.values()} == {(7.0, 2.0)}


def test_a_runtime_environment_that_cannot_be_prepared_is_named(cluster: Cluster) -> None:
    cluster.add_node(num_cpus=1)
    backend = actors(workers=1, runtime_env={"conda": "no-such-environment"})
    backend.open()
    with pytest.raises(
        WorkersLost, match=r"no worker is left: .* evaluation\.runtime_env could not be prepared: .*onda"
    ):
        backend.start(Knapsack12())
    backend.close()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"env_vars": {"OMP_NUM_THREADS": "9"}}, "OMP_NUM_THREADS is set by evaluation.threads"),
        ({"env_vars": {"SHARDS": 7}}, "evaluation.runtime_env: .*str"),
        ({"pip": 3}, "evaluation.runtime_env: "),
    ],
)
def test_a_runtime_environment_that_ray_would_not_take_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        actors(runtime_env=given)


def test_labels_that_ray_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"evaluation: Ray does not take .*'in\(spot'"):
        actors(labels={"pool": "in(spot"})


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [({"GPU": 1.0}, "GPU is evaluation.gpus_per_worker"), ({"reader": 1.5}, "a part of one reader, .* found 1.5")],
)
def test_resources_that_ray_cannot_count_are_refused(resources: dict[str, float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        actors(resources=resources)


NODES, MOST = "small", 2
# How Ray's stand-in for a cloud names its head, and the head's type; another's would be started again and again.
HEAD, HEAD_TYPE = "f" * 51 + "00000", "ray.head.default"


def autoscaling(address: str, on_head: int) -> dict[str, Any]:
    """Return the config of a cluster that starts with a head and grows by machines of one CPU."""
    nodes = {
        NODES: {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": MOST},
        HEAD_TYPE: {"resources": {"CPU": on_head}, "node_config": {}, "max_workers": 0},
    }
    provider: dict[str, Any] = {"type": "fake_multinode", "head_node_id": HEAD, "gcs_address": address}
    provider |= {"use_node_id_as_ip": True, "disable_node_updaters": True}
    config: dict[str, Any] = {"cluster_name": "growing", "provider": provider, "available_node_types": nodes}
    config |= {"head_node_type": HEAD_TYPE, "max_workers": MOST, "upscaling_speed": 1.0, "idle_timeout_minutes": 5}
    lists = ["initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"]
    lists += ["head_start_ray_commands", "worker_start_ray_commands", "cluster_synced_files"]
    lists += ["rsync_exclude", "rsync_filter"]
    config |= {name: [] for name in lists}
    return config | {"auth": {}, "docker": {}, "file_mounts": {}, "file_mounts_sync_continuously": False}


@pytest.fixture(params=[0, 1])
def growing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, int]]:
    """The address of a cluster with an autoscaler, and its CPUs; only its own processes are ended afterwards."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    (tmp_path / "cluster.json").write_text(json.dumps(autoscaling(address, request.param)))
    mark = f"EMOPRUNE_TEST={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    words = ["start", "--head", "--block", f"--port={port}", f"--num-cpus={request.param}", "--include-dashboard=false"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *words, f"--autoscaling-config={tmp_path / 'cluster.json'}"],
        env={**os.environ, "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", name: value},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield address, request.param
    for number in {*marked(mark), head.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    head.wait(timeout=30)


JOINING = """
    import sys
    from cluster_for_tests import actors, in_process, never, outcomes, tickets_of
    from problems_for_tests import Knapsack12

    tickets = tickets_of(Knapsack12(), 20)
    backend = actors(address=sys.argv[1], workers=int(sys.argv[2]), start_limit=120.0)
    backend.open()
    backend.start(Knapsack12())
    print(backend.workers, outcomes(backend.run(tickets, never)) == in_process(Knapsack12(), tickets))
    backend.close()
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(240)
def test_an_autoscaler_starts_as_many_machines_as_are_missing(growing: tuple[str, int]) -> None:
    address, cpus = growing
    deadline = time.monotonic() + 60
    host, port = address.split(":")
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=1).close()
            break
        time.sleep(0.5)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(JOINING), address, f"{cpus + MOST}"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{cpus + MOST} True\n", "")
