"""What runs in a worker's process, and how the problem gets there."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import ray

from emoprune.contracts import Problem
from emoprune.errors import ConfigError, ContractError, ResourcesUnavailable
from emoprune.evaluation.backends import STRETCH
from emoprune.evaluation.tickets import Outcome, Ticket, measure, set_up

__all__ = ["Answer", "Worker", "checked_environment", "import_path", "packed", "sent", "unpacked"]

Answer = tuple[list[Outcome], float]  # one outcome per ticket of a chunk, and the seconds it took
LONGEST_STRETCH = 2 * STRETCH  # seconds

ImportPath = tuple[Sequence[str], Sequence[str]]

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
STANDARD_LIBRARY = os.path.realpath(sysconfig.get_path("stdlib"))


class Worker:
    """Holds one problem in a process of its own; made empty, so that whatever goes wrong in it comes back as text."""

    def __init__(self) -> None:
        self._problem: Problem | None = None

    def prepare(self, folders: ImportPath, box: Sequence[ray.ObjectRef[Problem]], device: str, threads: int) -> str:
        """Load the problem, set it up, and return this worker's name: address and process id.

        Args:
            folders: Where the driver finds modules, in order: first what comes first here too, then what comes last.
            box: The problem, in a list because Ray would unpack it before the folders are known.
            device: Handed to the problem's `setup`.
            threads: Handed to the problem's `setup`.
        """
        # Ray would raise SystemExit in the midst of the problem, which would then be its failure.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        first, last = folders
        sys.path[:] = [*first, *(folder for folder in sys.path if folder not in {*first, *last}), *last]
        problem: Problem = ray.get(box[0])
        set_up(problem, device, threads)
        self._problem = problem
        gc.freeze()  # what is loaded stays for the worker's life, and need not be looked through for garbage
        address = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # ray leaves it untyped
        return f"{address}/{os.getpid()}"

    def measure(self, stretch: bytes) -> Iterator[bytes]:
        """Evaluate chunk after chunk of what `packed` made `stretch` of; yield the `Answer` to each as it is done.

        A stretch that takes longer than it should ends early: what is left of it may then go elsewhere.
        """
        if self._problem is None:
            raise ContractError("expected a worker that is prepared, found one that is not")
        chunks: Sequence[Sequence[Ticket]] = pickle.loads(stretch)  # noqa: S301  # from the driver, as all that Ray brings
        begun = before = time.perf_counter()
        for tickets in chunks:
            outcomes = measure(self._problem, tickets)
            now = time.perf_counter()
            yield pickle.dumps((outcomes, now - before), protocol=pickle.HIGHEST_PROTOCOL)
            before = time.perf_counter()
            if before - begun > LONGEST_STRETCH:
                return


def packed(stretch: Sequence[Sequence[Ticket]]) -> bytes:
    """Return chunks as bytes for `Worker.measure`: Ray's own way of sending them takes several times as long."""
    return pickle.dumps(stretch, protocol=pickle.HIGHEST_PROTOCOL)


def unpacked(answer: bytes) -> Answer:
    """Return what a worker answered to a chunk."""
    found: Answer = pickle.loads(answer)  # noqa: S301  # from a worker, as all that Ray brings
    return found


def checked_environment(given: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Return Ray's runtime environment with the variables that keep numerical libraries to their threads.

    They must be set before any of these is imported.

    Raises:
        ConfigError: Ray does not take it, or it sets these variables itself.
    """
    variables = given.get("env_vars") or {}
    twice = [name for name in THREAD_VARIABLES if name in variables]
    if twice:
        raise ConfigError(f"evaluation.runtime_env: {twice[0]} is set by evaluation.threads; leave it out")
    whole = {**given, "env_vars": {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **variables}}
    try:
        ray.runtime_env.RuntimeEnv(**whole)
    except Exception as error:  # whatever Ray's checks raise
        raise ConfigError(f"evaluation.runtime_env: {error}; see Ray's page on runtime environments") from error
    return whole


def import_path(beside: Sequence[Path]) -> ImportPath:
    """Return the folders in which this process finds modules, as absolute paths, those `beside` a config apart."""
    found = dict.fromkeys(str(Path(entry).absolute()) for entry in sys.path if not entry.startswith("__"))
    last = {str(folder.resolve()) for folder in beside}
    return [folder for folder in found if folder not in last], [folder for folder in found if folder in last]


def sent(problem: Problem, *, elsewhere: bool) -> ray.ObjectRef[Problem]:
    """Put the problem, once, where all workers can get it.

    Workers on this machine import its code from where this process does. `elsewhere` there are other machines, which
    have only what is installed: code that is not (a file beside the config, a package installed for editing) travels
    with the problem by value.

    Raises:
        ContractError: The problem does not pickle.
        ResourcesUnavailable: Ray's store of objects is full.
    """
    try:
        with _carrying_code() if elsewhere else contextlib.nullcontext():
            return ray.put(problem)
    except (ray.exceptions.ObjectStoreFullError, ray.exceptions.OutOfDiskError) as error:
        raise ResourcesUnavailable(f"Ray has no room for the problem: {error}; free disk space under /tmp") from error
    except Exception as error:  # whatever the problem's own pickling raises
        raise ContractError(
            f"{type(problem).__name__} cannot be sent to workers: {error.__cause__ or error}; "
            "make in setup() what does not pickle"
        ) from error


@contextlib.contextmanager
def _carrying_code() -> Iterator[None]:
    """Pickle code by value, not by name, for every loaded module that other machines cannot import."""
    before = ray.cloudpickle.list_registry_pickle_by_value()  # type: ignore[no-untyped-call]  # ray leaves it untyped
    modules = [
        module for name, module in list(sys.modules.items()) if name not in before and _is_only_here(name, module)
    ]
    for module in modules:
        ray.cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]  # ray leaves it untyped
    try:
        yield
    finally:
        for module in modules:
            ray.cloudpickle.unregister_pickle_by_value(module)  # type: ignore[no-untyped-call]  # ray leaves it untyped


def _is_only_here(name: str, module: ModuleType) -> bool:
    """Say whether a loaded module lies neither in a folder of installed packages nor in the standard library."""
    file = getattr(module, "__file__", None)
    # emoprune itself must be installed wherever a worker runs; __main__ is pickled by value in any case.
    if not isinstance(file, str) or name.partition(".")[0] in ("emoprune", "__main__", "__mp_main__"):
        return False
    real = Path(os.path.realpath(file))
    installed = {"site-packages", "dist-packages"} & set(real.parts)
    # Some put objects under other names into sys.modules; only what is there under its own can be registered.
    return not installed and not real.is_relative_to(STANDARD_LIBRARY) and getattr(module, "__name__", None) == name
