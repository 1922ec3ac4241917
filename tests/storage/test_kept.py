"""What a run keeps is there whole or not at all, and the same later; what was cut off is refused or made again."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emoprune.errors import ConfigError, StorageError
from emoprune.problems.storage.arrays import kept_arrays, sealed_arrays
from emoprune.problems.storage.kept import kept_json, sealed_json, write_json

Once = Callable[[Path, Callable[[], Any]], Any]

KEPT: dict[Once, str] = {kept_json: "p.json", kept_arrays: "a.safetensors"}
SEALED: dict[Once, str] = {sealed_json: "p.json", sealed_arrays: "a.safetensors"}
EVERY = KEPT | SEALED


def never() -> Any:
    raise AssertionError("made a second time")


def numbers(path: Path, *found: int) -> Callable[[], Any]:
    """Return what makes some numbers, called `a`, for a file of this name."""
    return lambda: {"a": list(found) if path.suffix == ".json" else np.array(found, dtype=np.float64)}


@pytest.mark.parametrize("once", EVERY)
def test_what_is_kept_is_not_made_again(tmp_path: Path, once: Once) -> None:
    path = tmp_path / EVERY[once]
    assert list(once(path, numbers(path, 1, 2))["a"]) == [1, 2]
    assert list(once(path, never)["a"]) == [1, 2]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("once", [kept_json, sealed_json])
def test_plain_data_are_the_same_after_a_file(tmp_path: Path, once: Once) -> None:
    plain = {"x": [1, 2.5, None], "y": {"z": "w\u00f6rter"}}
    assert once(tmp_path / "p.json", lambda: plain) == plain
    assert once(tmp_path / "p.json", never) == plain


@pytest.mark.parametrize("once", [kept_arrays, sealed_arrays])
def test_arrays_are_the_same_after_a_file(tmp_path: Path, once: Once) -> None:
    arrays = {"a.b": np.arange(6.0).reshape(2, 3), "c": np.array([1, 2], dtype=np.int64)}
    for make in (lambda: arrays, never):
        found = once(tmp_path / "arrays.safetensors", make)
        assert {name: own.tolist() for name, own in found.items()} == {n: a.tolist() for n, a in arrays.items()}
        assert found["c"].dtype == np.int64


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, b'{\n "w\\u00f6rter": 1\n}\n'),
        ({"end": ""}, b'{\n "w\\u00f6rter": 1\n}'),
        ({"ensure_ascii": False}, '{\n "w\u00f6rter": 1\n}\n'.encode()),
    ],
)
def test_json_is_written_for_people_and_programs(tmp_path: Path, how: Any, expected: bytes) -> None:
    write_json(tmp_path / "p.json", {"w\u00f6rter": 1}, **how)
    assert (tmp_path / "p.json").read_bytes() == expected


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes().rstrip()[:keep])


@pytest.mark.parametrize("once", SEALED)
@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_sealed_file_that_was_cut_off_is_refused_with_what_to_do(tmp_path: Path, once: Once, keep: int) -> None:
    path = tmp_path / SEALED[once]
    once(path, numbers(path, *range(9)))
    cut(path, keep)
    with pytest.raises(ConfigError, match=f"{path.name} .*remove it and it is made again"):
        once(path, never)


def test_a_sealed_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    sealed_json(tmp_path / "p.json", lambda: {"width": 12})
    text = (tmp_path / "p.json").read_text(encoding="utf-8")
    (tmp_path / "p.json").write_text(text.replace("12", "13"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"p\.json is damaged: its checksum does not fit"):
        sealed_json(tmp_path / "p.json", never)


@pytest.mark.parametrize("once", KEPT)
@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_file_without_a_checksum_that_was_cut_off_is_made_again(tmp_path: Path, once: Once, keep: int) -> None:
    path = tmp_path / KEPT[once]
    once(path, numbers(path, *range(9)))
    cut(path, keep)
    assert list(once(path, numbers(path, 1, 1))["a"]) == [1, 1]
    assert list(once(path, never)["a"]) == [1, 1]


@pytest.mark.parametrize("keep", [0, 1, 30, -1])
def test_a_file_without_a_checksum_that_was_cut_off_is_refused_where_that_is_asked_for(
    tmp_path: Path, keep: int
) -> None:
    path = tmp_path / "p.json"
    kept_json(path, numbers(path, *range(9)))
    cut(path, keep)
    with pytest.raises(ConfigError, match=r"p\.json cannot be read \(.*\); remove it and it is made again"):
        kept_json(path, never, refuse_torn=True)


def killed_while_writing(once: Once, path: Path) -> None:
    os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]  # the last moment before it counts
    once(path, numbers(path, 1))


def on_a_full_disk(once: Once, path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, resource.RLIM_INFINITY))
    with pytest.raises(StorageError, match=rf"cannot write .*{path.name}: the disk is full; free at least .* MB"):
        once(path, numbers(path, 1))


def ended(what: Callable[[Once, Path], None], once: Once, path: Path) -> int | None:
    """Return how a process of its own ends in which this is done."""
    child = multiprocessing.get_context("fork").Process(target=what, args=(once, path))
    child.start()
    child.join(60)
    return child.exitcode


@pytest.mark.parametrize("once", EVERY)
@pytest.mark.parametrize(("what", "code"), [(killed_while_writing, -signal.SIGKILL), (on_a_full_disk, 0)])
def test_what_could_not_be_written_is_not_there(
    tmp_path: Path, once: Once, what: Callable[[Once, Path], None], code: int
) -> None:
    path = tmp_path / EVERY[once]
    assert ended(what, once, path) == code
    assert not path.exists()
    assert list(once(path, numbers(path, 2))["a"]) == [2]
