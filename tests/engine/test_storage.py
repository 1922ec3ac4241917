"""Files that survive: atomic replacement, journals with torn tails, checksummed checkpoints, full disks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emoprune.errors import RunCorrupt, StorageError
from emoprune.storage import Journal, read_checked, read_lines, write_atomically, write_checked

LINES = [{"n": 1, "text": "é"}, {"n": 2, "text": "b\n"}, {"n": 3, "text": "c"}]


def journal_of(path: Path, lines: list[dict[str, object]]) -> Path:
    with Journal(path) as journal:
        journal.append(lines)
    return path


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    assert read_lines(journal_of(tmp_path / "j", LINES)) == LINES


def test_a_journal_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "nothing") == []


def test_a_tail_torn_at_any_byte_is_left_out_by_readers_and_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    whole = journal_of(tmp_path / "whole", LINES).read_bytes()
    last = len(whole) - whole[:-1].rindex(b"\n") - 1
    for lost in range(1, last):
        path = tmp_path / f"torn{lost}"
        path.write_bytes(whole[:-lost])
        assert read_lines(path) == LINES[:2]
        with Journal(path) as journal:
            assert journal.torn == whole[-last:-lost]
            journal.append([LINES[2]])
        assert read_lines(path) == LINES


def test_the_torn_fragment_is_kept_beside_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\n{"n":')
    Journal(path).close()
    assert (tmp_path / "j.torn").read_bytes() == b'{"n":\n'


def test_garbage_in_the_middle_is_refused_with_its_line_number(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\ngarbage\n{"n":3}\n')
    with pytest.raises(RunCorrupt, match=r"j:2: expected one JSON object"):
        read_lines(path)


def test_a_line_that_is_not_an_object_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\n[2]\n')
    with pytest.raises(RunCorrupt, match=r"j:2: expected one JSON object, found list"):
        read_lines(path)


def test_numbers_that_json_does_not_know_never_reach_the_file(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal, pytest.raises(ValueError, match="JSON compliant"):
        journal.append([{"value": float("nan")}])
    assert (tmp_path / "j").read_bytes() == b""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_a_checkpoint_reads_back_to_the_same_bits(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.mktemp("checked") / "c.json"
    write_checked(path, {"value": value})
    assert read_checked(path) == {"value": value}


@given(st.data())
def test_a_checkpoint_with_one_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flipped") / "c.json"
    body = {"population": [[1, 0, 1], [0, 0, 1]], "rng": {"state": 12345678901234567890}}
    write_checked(path, body)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 2))
    content[position] ^= 1 << data.draw(st.integers(0, 6))
    path.write_bytes(content)
    try:
        found = read_checked(path)
    except RunCorrupt:
        return
    assert found == body  # a flip between equivalent bytes, such as inside an escape, changes nothing


@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_truncated_checkpoint_is_noticed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "c.json"
    write_checked(path, {"population": list(range(50))})
    path.write_bytes(path.read_bytes()[:kept] if kept >= 0 else path.read_bytes()[:-10])
    with pytest.raises(RunCorrupt, match=r"cannot read|checksum"):
        read_checked(path)


def test_a_checkpoint_of_a_newer_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"schema_version": 2, "sha256": "", "body": {}}))
    with pytest.raises(RunCorrupt, match="expected schema_version 1, found 2; update emoprune"):
        read_checked(path)


def test_replacing_leaves_the_old_file_when_the_folder_is_gone(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="the folder is gone"):
        write_atomically(tmp_path / "missing" / "file", "text")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from emoprune.errors import StorageError
from emoprune.storage import Journal, write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
write_atomically(folder / "old", "x" * 100)
journal = Journal(folder / "journal")
journal.append([{"n": 1}])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
for attempt in (lambda: write_atomically(folder / "old", "y" * 10_000), lambda: journal.append([{"n": "z" * 10_000}])):
    try:
        attempt()
    except StorageError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append([{"n": 2}])
journal.close()
"""


def test_a_full_disk_is_named_and_nothing_committed_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert (
        done.stdout.count("the disk is full; free at least 0.1 MB, better some times as much, and resume the run") == 2
    )
    assert (tmp_path / "old").read_text() == "x" * 100
    assert read_lines(tmp_path / "journal") == [{"n": 1}, {"n": 2}]
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_torn_line_longer_than_what_is_read_at_a_time_is_cut_off_whole(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b'{"n":1}\n' + b"x" * 200_000)
    with Journal(path) as journal:
        assert len(journal.torn) == 200_000
    assert path.read_bytes() == b'{"n":1}\n'
