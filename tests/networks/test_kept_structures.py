"""Structures found once: not found again in a later process, found again when the code or the question changes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from emoprune.problems.networks.coupling import process
from emoprune.problems.networks.coupling.kept_structures import digest_of_code
from emoprune.problems.networks.coupling.process import structure_of
from emoprune.problems.networks.coupling.structure import Structure
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.unpruned.by_name import network_named

HELPER = """
def joined(images, conv):
    return {joined}
"""
NETWORK = """
from torch import nn
from {name}_helper import joined

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        return self.head(joined(self.first(images), self.second).mean((2, 3)))
"""
APART, SUMMED = "conv(images)", "images + conv(images)"


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The networks that were traced, here instead of in a process of their own; the cache folder is the test's own."""
    traced: list[str] = []

    def counting(network: str, input_shape: Sequence[int], ignored: Sequence[str], _limit: float) -> Structure:
        traced.append(network)
        return trace(network_named(network), input_shape, ignored)

    monkeypatch.setattr(process, "_traced", counting)
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(tmp_path)
    yield traced
    for name in [name for name in sys.modules if name.startswith("kept_net")]:
        del sys.modules[name]


def write(folder: Path, name: str, joined: str = APART) -> str:
    (folder / f"{name}_helper.py").write_text(HELPER.format(joined=joined), encoding="utf-8")
    (folder / f"{name}.py").write_text(NETWORK.format(name=name), encoding="utf-8")
    for module in (name, f"{name}_helper"):
        sys.modules.pop(module, None)
    return f"{name}:Net"


def asked_in_a_new_process(target: str, ignored: tuple[str, ...] = ()) -> Structure:
    """Ask as a later command does, which remembers nothing."""
    process._known.cache_clear()  # what one process remembers
    return structure_of(target, (1, 8, 8), ignored, 90.0)


@pytest.mark.timeout(120)
def test_a_second_question_in_one_process_is_answered_from_memory_and_another_network_is_asked_about_anew(
    tmp_path: Path, counted: list[str]
) -> None:
    structure_of(write(tmp_path, "kept_net_before"), (1, 8, 8), [], 90.0)  # tracing imports libraries, here for once
    target = write(tmp_path, "kept_net_again", APART)
    first = structure_of(target, (1, 8, 8), [], 90.0)
    assert structure_of(target, (1, 8, 8), [], 90.0) is first
    assert len(counted) == 2
    write(tmp_path, "kept_net_again", SUMMED)
    assert structure_of(target, (1, 8, 8), [], 90.0).units == (8,)
    assert len(counted) == 3


@pytest.mark.timeout(120)
def test_a_structure_is_found_once_for_all_commands(tmp_path: Path, counted: list[str]) -> None:
    target = write(tmp_path, "kept_net_one")
    first = asked_in_a_new_process(target)
    assert asked_in_a_new_process(target).as_json() == first.as_json()
    assert counted == [target]
    assert asked_in_a_new_process(target, ("second",)).units != first.units
    assert len(counted) == 2


@pytest.mark.timeout(120)
def test_a_change_in_a_helper_that_forward_calls_is_noticed(tmp_path: Path, counted: list[str]) -> None:
    assert asked_in_a_new_process(write(tmp_path, "kept_net_two", APART)).units == (8, 8)
    assert asked_in_a_new_process(write(tmp_path, "kept_net_two", SUMMED)).units == (8,)
    assert len(counted) == 2


@pytest.mark.timeout(120)
def test_a_damaged_file_is_passed_over_and_replaced(
    tmp_path: Path, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    target = write(tmp_path, "kept_net_three")
    asked_in_a_new_process(target)
    (path,) = (tmp_path / "cache" / "structures").glob("*.json")
    path.write_bytes(path.read_bytes()[:-30])
    assert asked_in_a_new_process(target).units == (8, 8)
    assert "a kept structure is found again" in caplog.text
    assert asked_in_a_new_process(target).units == (8, 8)
    assert len(counted) == 2


@pytest.mark.timeout(120)
def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, counted: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file, not a folder", encoding="utf-8")
    assert asked_in_a_new_process(write(tmp_path, "kept_net_four")).units == (8, 8)
    assert "cannot be kept" in caplog.text
    assert counted == ["kept_net_four:Net"]


@pytest.mark.timeout(120)
def test_the_digest_is_the_same_in_every_process() -> None:
    code = "from emoprune.problems.networks.coupling.kept_structures import digest_of_code as d; "
    code += "from emoprune.problems.networks.unpruned.by_name import network_named as n; print(d(n('digits'), [1]))"
    run = [sys.executable, "-c", code]
    found = {subprocess.run(run, capture_output=True, text=True, timeout=60, check=True).stdout for _ in range(2)}
    assert len(found) == 1
    assert digest_of_code(network_named("digits"), [1]) != digest_of_code(network_named("digits"), [2])
