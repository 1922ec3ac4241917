"""What a run makes once: whole or not at all, taken up again as it was, and refused when it was changed or cut off."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.layers.weight_ratios import WeightRatios
from emoprune.problems.storage.arrays import Weights
from emoprune.problems.storage.kept import arrays_made_once, kept_arrays, kept_json, plain_made_once
from emoprune.records import Split

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


def never() -> Any:
    raise AssertionError("made a second time")


def test_what_is_kept_is_not_made_again(tmp_path: Path) -> None:
    arrays = {"a.b": np.arange(6.0).reshape(2, 3), "c": np.array([1, 2], dtype=np.int64)}
    first = arrays_made_once(tmp_path / "arrays.safetensors", lambda: arrays)
    again = arrays_made_once(tmp_path / "arrays.safetensors", never)
    for found in (first, again):
        assert {name: own.tolist() for name, own in found.items()} == {n: a.tolist() for n, a in arrays.items()}
        assert found["c"].dtype == np.int64
    plain = {"x": [1, 2.5, None], "y": {"z": "w"}}
    assert plain_made_once(tmp_path / "plain.json", lambda: plain) == plain
    assert plain_made_once(tmp_path / "plain.json", never) == plain
    assert sorted(each.name for each in tmp_path.iterdir()) == ["arrays.safetensors", "plain.json"]


@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_file_that_was_cut_off_is_refused_with_what_to_do(tmp_path: Path, keep: int) -> None:
    for name, once in (("a.safetensors", arrays_made_once), ("p.json", plain_made_once)):
        once(tmp_path / name, lambda: {"a": np.arange(9.0)} if name.startswith("a") else {"a": list(range(9))})  # noqa: B023  # called at once
        content = (tmp_path / name).read_bytes().rstrip()
        (tmp_path / name).write_bytes(content[:keep])
        with pytest.raises(ConfigError, match=f"{name} .*remove it and it is made again"):
            once(tmp_path / name, never)


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    plain_made_once(tmp_path / "p.json", lambda: {"width": 12})
    text = (tmp_path / "p.json").read_text(encoding="utf-8")
    (tmp_path / "p.json").write_text(text.replace("12", "13"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"p\.json is damaged: its checksum does not fit"):
        plain_made_once(tmp_path / "p.json", never)


@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_file_without_a_checksum_that_was_cut_off_is_made_again(tmp_path: Path, keep: int) -> None:
    for name, once in (("a.safetensors", kept_arrays), ("p.json", kept_json)):
        once(tmp_path / name, lambda: {"a": np.arange(9.0)} if name.startswith("a") else {"a": list(range(9))})  # noqa: B023  # called at once
        content = (tmp_path / name).read_bytes().rstrip()
        (tmp_path / name).write_bytes(content[:keep])
        made = once(tmp_path / name, lambda: {"a": np.ones(2)} if name.startswith("a") else {"a": [1, 1]})  # noqa: B023  # called at once
        assert list(made["a"]) == [1, 1]
        assert list(once(tmp_path / name, never)["a"]) == [1, 1]


def killed_while_writing(once: Any, path: Path) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]  # the last moment before it counts
    once(path, lambda: {"a": np.ones(1)} if path.suffix == ".safetensors" else {"a": 1})


@pytest.mark.parametrize("once", [plain_made_once, kept_json, arrays_made_once, kept_arrays])
def test_killed_while_writing_the_file_is_not_there(tmp_path: Path, once: Any) -> None:
    path = tmp_path / ("p.json" if once in {plain_made_once, kept_json} else "p.safetensors")
    child = multiprocessing.get_context("fork").Process(target=killed_while_writing, args=(once, path))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert not path.exists()
    assert once(path, lambda: {"a": np.full(1, 2)} if path.suffix == ".safetensors" else {"a": 2})["a"] == 2


@pytest.mark.parametrize(
    ("problem", "files"),
    [
        (
            lambda: Channels(**SMALL, precision="auto", compensation="least-squares"),
            ["scores.safetensors", "statistics.safetensors", "references.json", "precision.json"],
        ),
        (
            lambda: WeightRatios(**SMALL, precision="auto"),
            ["ranks-magnitude.safetensors", "references.json", "precision.json"],
        ),
    ],
)
def test_a_problem_keeps_what_it_made_and_refuses_what_was_cut_off(
    tmp_path: Path, problem: Any, files: list[str]
) -> None:
    problem().prepare(tmp_path, 1)
    made = {name: (tmp_path / name).read_bytes() for name in files}
    problem().prepare(tmp_path, 1)
    assert {name: (tmp_path / name).read_bytes() for name in files} == made
    for name in files:
        (tmp_path / name).write_bytes(made[name][: len(made[name]) // 2])
        with pytest.raises(ConfigError, match=f"{name} .*remove it and it is made again"):
            problem().prepare(tmp_path, 1)
        (tmp_path / name).write_bytes(made[name])


def test_compensations_use_the_statistics_that_were_kept_not_new_ones(tmp_path: Path) -> None:
    def rows(problem: Channels) -> Any:
        problem.prepare(tmp_path, 1)
        problem.setup("cpu", 1)
        narrow = np.zeros((1, len(problem.space)), dtype=np.int64)
        return problem.evaluate(narrow, np.zeros(1, dtype=np.uint64), Split.SEARCH)

    def problem() -> Channels:
        return Channels(**SMALL, compensation="least-squares", objectives=["loss", "macs"])

    first = rows(problem())
    path = tmp_path / "statistics.safetensors"
    kept = dict(arrays_made_once(path, never))
    path.unlink()
    changed: Weights = {name: array * np.linspace(1, 2, array.shape[-1]) for name, array in kept.items()}
    arrays_made_once(path, lambda: changed)
    assert rows(problem()) != first
