"""What tests of several files set up: commands in a folder of their own, and backends on a Ray."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands_for_tests import Command, entry_point, prepared

from emoprune.contracts import Problem

if TYPE_CHECKING:
    from cluster_for_tests import Start

    from emoprune.cluster import RayActors


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a config and some bad problems in it."""
    return prepared(tmp_path, monkeypatch)


@pytest.fixture
def emoprune(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The console entry point as a function of the command's words."""
    return entry_point(monkeypatch, capsys)


@pytest.fixture
def started(cluster: object) -> Iterator[Start]:
    """Open and start a backend with a problem on the module's `cluster`; it is closed after the test."""
    from cluster_for_tests import actors  # imports Ray, which few of these tests need

    with ExitStack() as opened:

        def start(problem: Problem, **changed: Any) -> RayActors:
            backend = actors(**changed)
            opened.callback(backend.close)
            backend.open()
            backend.start(problem)
            return backend

        yield start


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A folder that counts faults."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder
