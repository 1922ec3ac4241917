"""The Ray backend in processes of their own: what starts, ends, joins or lacks a Ray, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster_for_tests import marked
from commands_for_tests import begun, ended, prepared
from ray.cluster_utils import Cluster

from emoprune.run import Run

TESTS = Path(__file__).parents[1] / "support"


def alone(program: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a program in a process of its own, with the names the programs below need."""
    head = "import os, signal, sys, time\nfrom pathlib import Path\nfrom problems_for_tests import Knapsack12\n"
    head += "from cluster_for_tests import *\nfrom emoprune.errors import EmopruneError\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
    )


def gone(mark: str, within: float, apart_from: int = 0) -> bool:
    until = time.monotonic() + within
    while marked(mark) - {apart_from} and time.monotonic() < until:
        time.sleep(0.2)
    return not marked(mark) - {apart_from}


AT_AN_ADDRESS = """
    problem = Knapsack12(noise=0.1)
    tickets = tickets_of(problem, 30)
    backend = actors(address=sys.argv[1], workers=None)
    backend.open()
    backend.start(problem)
    print(backend.workers, outcomes(backend.run(tickets, never)) == in_process(problem, tickets))
    backend.close()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two machines of one CPU each, which this process is not connected to."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()  # type: ignore[no-untyped-call]  # ray leaves it untyped


def test_a_cluster_at_an_address_gives_the_same_outcomes_and_stays(cluster: Cluster) -> None:
    stdout, stderr = alone(AT_AN_ADDRESS, cluster.address).communicate(timeout=100)
    assert (stdout, stderr) == ("2 True\n", "")
    host, port = cluster.address.split(":")
    socket.create_connection((host, int(port)), timeout=5).close()


def test_a_cluster_that_a_command_joins_is_said_and_recorded(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepared(tmp_path, monkeypatch)
    words = ("run", "knapsack.yaml", "--name", "joined", "--backend", "ray", "--workers", "auto")
    end = ended(begun(folder, *words, more={"RAY_ADDRESS": cluster.address}))
    assert end.code == 0, end.err
    assert f"measuring on the Ray cluster at {cluster.address} (RAY_ADDRESS)" in end.err
    [session] = Run(folder / "runs" / "joined").manifest["sessions"]
    assert (session["address"], session["workers"]) == (cluster.address, "auto")


QUIET = """
    before = signal.getsignal(signal.SIGTERM)
    problem = Fatal(Path(sys.argv[1]), "kill", [7], times=1)
    backend = actors(address="local", workers=1)
    backend.open()
    backend.start(problem)
    assert signal.getsignal(signal.SIGTERM) is before
    tickets = tickets_of(problem, 4096)
    assert len(outcomes(backend.run(tickets, never))) == 4096
    time.sleep(2)
    backend.close()
"""


def test_ray_says_nothing_and_leaves_nothing_behind(marks: Path) -> None:
    mark = f"EMOPRUNE_TEST={uuid.uuid4()}"
    process = alone(QUIET, str(marks), EMOPRUNE_TEST=mark.partition("=")[2])
    stdout, stderr = process.communicate(timeout=100)
    assert (process.returncode, stdout, stderr) == (0, "", "")
    assert len(list(marks.iterdir())) == 1
    assert gone(mark, within=20)


ENDED_BY = """
    problem = Fatal(Path(sys.argv[1]), sys.argv[2], [tickets_of(Knapsack12(), 1)[0].candidate.id], times=None)
    backend = actors(address="local", workers=1, retries=0)
    backend.open()
    backend.start(problem)
    print(*outcomes(backend.run(tickets_of(problem, 1), never)).values())
    backend.close()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "by"),
    [("fault", "SIGSEGV"), ("kill", "SIGKILL"), ("exit", "past Python"), ("die", "SIGTERM")],
)
def test_a_crash_says_by_what(marks: Path, fault: str, by: str) -> None:
    stdout, stderr = alone(ENDED_BY, str(marks), fault).communicate(timeout=100)
    assert stderr == ""
    assert "crashed" in stdout
    assert by in stdout


EXHAUSTED = """
    import psutil
    from emoprune.records import Status

    memory = psutil.virtual_memory()
    os.environ["RAY_memory_usage_threshold"] = str((memory.total - memory.available + 2**30) / memory.total)
    os.environ["RAY_memory_monitor_refresh_ms"] = "100"
    problem = Fatal(Path(sys.argv[1]), "swell", [tickets_of(Knapsack12(), 8)[3].candidate.id], times=None)
    backend = actors(address="local")
    backend.open()
    backend.start(problem)
    found = outcomes(backend.run(tickets_of(problem, 8), never))
    [failed] = [outcome for outcome in found.values() if outcome.status is not Status.OK]
    print(len(found), failed)
    backend.close()
"""


@pytest.mark.slow
@pytest.mark.alone  # what other tests take of the memory would count
@pytest.mark.timeout(240)
@pytest.mark.skipif(psutil.virtual_memory().available < 2**32, reason="takes 3 GiB")
def test_a_candidate_whose_worker_ray_kills_for_want_of_memory_is_tried_alone_and_then_blamed(marks: Path) -> None:
    stdout, stderr = alone(EXHAUSTED, str(marks)).communicate(timeout=200)
    assert stdout.startswith("8 Outcome(status=<Status.OUT_OF_MEMORY")
    assert "killed due to the node running low on memory" in stdout
    assert stderr == "memory ran out: from now on at most 1 candidates are measured at a time\n" * stderr.count("\n")
    # Of the first deaths Ray may know no cause in time; then it is tried again among others before it is alone.
    assert 2 <= len(list(marks.iterdir())) <= 4


INTERRUPTED = """
    problem = Knapsack12(pause=0.2)
    backend = actors(address="local", workers=1, chunk=1)
    backend.open()
    backend.start(problem)
    try:
        for piece in backend.run(tickets_of(problem, 1000), never):
            print(len(piece), flush=True)
    except KeyboardInterrupt:
        backend.close()
        print("closed", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "closed"), pytest.param(signal.SIGKILL, "", marks=pytest.mark.slow)]
)
def test_an_interrupted_search_leaves_no_worker_behind(number: signal.Signals, said: str) -> None:
    mark = f"EMOPRUNE_TEST={uuid.uuid4()}"
    process = alone(INTERRUPTED, EMOPRUNE_TEST=mark.partition("=")[2])
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    process.send_signal(number)
    if said:  # what was under way is still told before
        assert f"{said}\n" in iter(process.stdout.readline, "")
    assert gone(mark, within=40, apart_from=process.pid)
    process.kill()
    process.communicate(timeout=10)


TERMINATED = """
    import threading
    import psutil

    def stop(number, frame):
        raise KeyboardInterrupt

    def terminate():
        while not any("gcs_server" in child.name() for child in psutil.Process().children()):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=terminate).start()
    backend = actors(address="local", workers=1)
    try:
        backend.open()
    except KeyboardInterrupt:
        backend.close()
        print("stopped", signal.getsignal(signal.SIGTERM) is stop)
"""


def test_a_termination_while_ray_starts_goes_to_whom_it_is_for_and_leaves_nothing_behind() -> None:
    mark = f"EMOPRUNE_TEST={uuid.uuid4()}"
    process = alone(TERMINATED, EMOPRUNE_TEST=mark.partition("=")[2])
    stdout, stderr = process.communicate(timeout=100)
    assert (process.returncode, stdout, stderr) == (0, "stopped True\n", "")
    assert gone(mark, within=20)


UNREACHABLE = """
    import socket
    silent = socket.create_server(("127.0.0.1", 0))
    for address in ["127.0.0.1:1", "no-such-host.invalid:6379", f"127.0.0.1:{silent.getsockname()[1]}"]:
        begun = time.monotonic()
        try:
            actors(address=address, start_limit=3.0).open()
        except EmopruneError as error:
            print(error.exit_code, time.monotonic() - begun < 9, str(error).replace("\\n", " "))
"""


def test_a_cluster_that_does_not_answer_is_refused_in_bounded_time() -> None:
    stdout, stderr = alone(UNREACHABLE).communicate(timeout=60)
    assert stderr == ""
    closed, unknown, silent = stdout.splitlines()
    assert closed.startswith("6 True no Ray cluster answers at 127.0.0.1:1: ")
    assert unknown.startswith("6 True no Ray cluster answers at no-such-host.invalid:6379: ")
    assert silent.startswith("6 True something listens at 127.0.0.1:")


SEGFAULT = """
    backend = actors(address="local", workers=1)
    backend.open()
    try:
        backend.start(NoSetup(Path(sys.argv[1]), "segfault"))
    except EmopruneError as error:
        print(error)
    backend.close()
"""


@pytest.mark.slow  # starts a Ray of its own
def test_a_crash_in_native_code_shows_where_it_was(marks: Path) -> None:
    stdout, stderr = alone(SEGFAULT, str(marks)).communicate(timeout=100)
    assert stderr == ""
    assert stdout.startswith("no worker is left: workers failed to start 3 times in a row: ")
    assert "Segmentation fault" in stdout
    assert "cluster_for_tests.py" in stdout


HEAD_LOST = """
    problem = Knapsack12(pause=0.3)
    backend = actors(address="local", workers=1, chunk=1)
    backend.open()
    backend.start(problem)
    tickets = tickets_of(problem, 4096)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid()):
            if sys.argv[1] in (folder / "cmdline").read_text().partition("\\0")[0]:
                os.kill(int(folder.name), signal.SIGKILL)
    begun = time.monotonic()
    try:
        outcomes(backend.run(tickets, never))
    except EmopruneError as error:
        print(error.exit_code, time.monotonic() - begun < 45, error)
    begun = time.monotonic()
    backend.close()
    print(time.monotonic() - begun < 15)
"""


@pytest.mark.slow  # waits until a silent head counts as lost
@pytest.mark.parametrize(
    ("part", "why"), [("gcs_server", "its head has not answered for 15 s"), ("raylet", "on this machine is gone")]
)
def test_a_lost_head_ends_the_run_in_bounded_time(part: str, why: str) -> None:
    stdout, _ = alone(HEAD_LOST, part).communicate(timeout=110)
    lost, closed = stdout.splitlines()
    assert lost.startswith("6 True Ray cluster lost: ")
    assert why in lost
    assert closed == "True"


HEAD = """
    import ray
    ray.__version__ = sys.argv[1] or ray.__version__
    sys.argv = ["ray", "start", "--head", "--block", "--port=7411", "--num-cpus=1", "--include-dashboard=false"]
    from ray.scripts.scripts import main
    main()
"""

JOIN = """
    backend = actors(address="127.0.0.1:7411", workers=1)
    try:
        backend.open()
    except EmopruneError as error:
        print(error.exit_code, str(error).replace("\\n", " "))
"""


@contextlib.contextmanager
def head(version: str, **environment: str) -> Iterator[None]:
    """A cluster's head, started by hand as an administrator would."""
    process = alone(HEAD, version, RAY_USAGE_STATS_ENABLED="0", **environment)
    assert process.stdout is not None
    until = time.monotonic() + 60
    while "block forever" not in process.stdout.readline() and time.monotonic() < until:
        pass
    yield
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.slow  # starts a Ray of its own
def test_a_cluster_of_another_version_is_refused_by_name() -> None:
    with head("2.1.0", RAY_AUTH_MODE="disabled"):
        stdout, _ = alone(JOIN, RAY_AUTH_MODE="disabled").communicate(timeout=60)
    assert stdout.startswith("6 the Ray cluster at 127.0.0.1:7411 refuses: Version mismatch: ")
    assert "Ray: 2.1.0" in stdout
    assert stdout.rstrip().endswith("run the search with the Python and Ray versions of the cluster")


@pytest.mark.slow  # Ray tries a wrong token for 20 s
def test_a_cluster_with_another_token_is_refused_by_name() -> None:
    with head("", RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0123456789abcdef" * 2):
        stdout, _ = alone(JOIN, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="fedcba9876543210" * 2).communicate(timeout=60)
    assert stdout.startswith("6 the Ray cluster at 127.0.0.1:7411 refuses: Failed to connect")
    assert "InvalidAuthToken" in stdout
    assert stdout.rstrip().endswith(
        "set RAY_AUTH_MODE=token, and give the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
    )
