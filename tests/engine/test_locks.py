from __future__ import annotations

import errno
import multiprocessing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from emoprune.errors import RunLocked, StorageError
from emoprune.run.locks import alone, whole


def test_a_folder_appears_only_when_it_is_whole_and_replaces_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "exports" / "7"
    for content in ("first", "second"):
        with whole(folder) as partial:
            (partial / content).write_text(content)
            assert not folder.exists() or [path.name for path in folder.iterdir()] == ["first"]
        assert [path.name for path in folder.iterdir()] == [content]
    assert [path.name for path in folder.parent.iterdir()] == ["7"]


def half_write(folder: Path, error: BaseException) -> None:
    with whole(folder) as partial:
        (partial / "half").touch()
        if isinstance(error, PermissionError):
            error.filename = str(partial / "weights")
        raise error


@pytest.mark.parametrize("error", [ValueError("differs"), KeyboardInterrupt("pressed")])
def test_what_fails_leaves_the_old_folder_and_nothing_half_written(tmp_path: Path, error: BaseException) -> None:
    folder = tmp_path / "7"
    with whole(folder) as partial:
        (partial / "old").touch()
    with pytest.raises(type(error), match=str(error)):
        half_write(folder, error)
    assert [path.name for path in tmp_path.iterdir()] == ["7"]
    assert [path.name for path in folder.iterdir()] == ["old"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".7.partial").mkdir()
    (tmp_path / ".7.partial" / "half").touch()
    with whole(tmp_path / "7") as partial:
        assert list(partial.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file, no folder")
    with pytest.raises(StorageError, match=r"cannot write .*exports/7"), whole(tmp_path / "exports" / "7"):
        pass


def test_a_disk_that_fills_up_is_a_storage_error_and_a_missing_file_elsewhere_is_not(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*/7: the disk is full"):
        half_write(tmp_path / "7", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(FileNotFoundError, match=r"images\.gz"):
        half_write(tmp_path / "7", FileNotFoundError(errno.ENOENT, "No such file", "images.gz"))
    with pytest.raises(StorageError, match=r"cannot write .*/7: writing is not permitted"):
        half_write(tmp_path / "7", PermissionError(errno.EACCES, "No"))
    assert list(tmp_path.iterdir()) == []


def hold(run: Path, holding: Event, done: Event) -> None:
    with alone(run, "audit"):
        holding.set()
        done.wait(60)


def test_another_process_at_the_same_work_is_refused_until_it_is_done_or_dead(tmp_path: Path) -> None:
    fresh = multiprocessing.get_context("spawn")
    holding, done = fresh.Event(), fresh.Event()
    other = fresh.Process(target=hold, args=(tmp_path, holding, done))
    other.start()
    try:
        assert holding.wait(60)
        with pytest.raises(RunLocked, match=r"another process is at audit already; wait for it or stop it"):
            alone(tmp_path, "audit").__enter__()
        with alone(tmp_path, "recover-7"):
            pass
    finally:
        other.kill()
        other.join(60)
    with alone(tmp_path, "audit"):
        pass


def test_work_that_failed_can_begin_again(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differs"), alone(tmp_path, "audit"):
        raise ValueError("differs")
    with alone(tmp_path, "audit"), pytest.raises(RunLocked, match="audit"), alone(tmp_path, "audit"):
        pass


def test_what_a_living_process_makes_is_left_alone_by_another(tmp_path: Path) -> None:
    with whole(tmp_path / "7") as partial:
        (partial / "half").touch()
        with whole(tmp_path / "7") as other:
            assert other != partial
            assert (partial / "half").is_file()
