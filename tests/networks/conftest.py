"""What holds for the tests of networks: each begins on one thread, and networks are traced where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
import torch
from methods_for_tests import without_verifying

from emoprune.problems.compute.device import seeded
from emoprune.problems.networks.coupling import process
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.task import NetworkTask
from emoprune.problems.networks.unpruned.by_name import network_named


def pytest_runtest_setup() -> None:
    """Compute on one thread: networks this small are no faster on more, and far slower on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def traced_here() -> Iterator[None]:
    """Leave out the fresh process in which a network is traced, which takes seconds; test_coupling waits for it."""

    def traced(network: str, input_shape: Sequence[int], ignored: Sequence[str], _limit: float) -> Structure:
        with seeded(0):
            found = trace(network_named(network).float(), input_shape, ignored)
        return Structure.from_json(json.loads(json.dumps(found.as_json())))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "_traced", traced)
        yield


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out, which other tests of exports and recoveries wait for."""
    without_verifying(monkeypatch, NetworkTask, "export")
