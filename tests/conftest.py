"""What holds for all tests: one thread per process, and nothing from or in the folders of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch and numpy are imported, here and in child processes: small tensors are slower on more threads, and ten
# times slower where other processes are busy.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import pytest  # noqa: E402  # pytest itself imports neither
from hypothesis import settings  # noqa: E402  # nor does hypothesis

# Examples must hold, not hurry: a busy machine is no failure, and a hang still ends at pytest's time limit.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let trained networks and the key be kept in a folder of this session; child processes inherit the variable.

    Processes that share a session's tests share it too, as users' processes do.
    """
    variables = ("EMOPRUNE_CACHE", "XDG_STATE_HOME")
    before = {name: os.environ.get(name) for name in variables}
    among_others = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent / "cache" if among_others else tmp_path_factory.mktemp("cache")
    folder.mkdir(exist_ok=True)
    os.environ |= {"EMOPRUNE_CACHE": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    yield folder
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
