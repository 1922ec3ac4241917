"""A Ray that a search starts is for this machine and its user alone, and workers import from where the driver does."""

from __future__ import annotations

import contextlib
import ipaddress
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from cluster_for_tests import actors
from problems_for_tests import Knapsack12
from strangers_for_tests import trap

import emoprune
from emoprune.cluster import private as module
from emoprune.cluster.private import private
from emoprune.cluster.worker import import_path

pytestmark = pytest.mark.timeout(240)  # Ray takes seconds to start, and more on a busy machine


def listening() -> Iterator[tuple[str, str]]:
    """Yield who listens where, of this process and all that it started."""
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # one that ended meanwhile listens nowhere
            for socket in process.net_connections("inet"):
                if socket.status == psutil.CONN_LISTEN:
                    yield process.name(), socket.laddr.ip


def is_loopback(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


class Importing(Knapsack12):
    """A knapsack whose workers import a module of the standard library that nothing else does."""

    def setup(self, device: str, threads: int) -> None:
        import colorsys

        assert callable(colorsys.rgb_to_hsv)


def test_whatever_a_local_run_listens_on_only_this_machine_reaches(tmp_path: Path) -> None:
    plain = {
        "search": {"population": 8, "generations": 2},
        "evaluation": {"backend": "ray", "workers": 1, "address": "local"},
    }
    before = set(listening())
    found: set[tuple[str, str]] = set()
    for _ in emoprune.search(plain, problem=Knapsack12(), runs=tmp_path, name="r"):
        found |= set(listening()) - before
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert not [each for each in found if not is_loopback(each[1])]


def test_workers_neither_look_into_the_working_folder_nor_let_a_folder_of_code_shadow_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sprung = trap(tmp_path, "colorsys", "numpy")
    monkeypatch.chdir(tmp_path)
    for beside in ((), (tmp_path,)):
        monkeypatch.setattr(sys, "path", [*sys.path, *map(str, beside)])
        backend = actors(workers=1, beside=beside, address="local")
        backend.open()
        try:
            backend.start(Importing())
            first, last = import_path(beside)
            asked: Any = ray.remote(num_cpus=0)(lambda: sys.path).remote()
            assert str(tmp_path) not in ray.get(asked)
        finally:
            backend.close()
        assert str(tmp_path) not in first
        assert list(last) == list(map(str, beside))
    assert not sprung.exists()


class TestTheToken:
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(module, "TOKEN", tmp_path / ".ray" / "auth_token")
        return tmp_path / ".ray" / "auth_token"

    def test_one_that_is_made_is_for_its_user_alone(self, place: Path) -> None:
        with private():
            assert stat.S_IMODE(place.stat().st_mode) == 0o600
        made = place.read_text()
        assert len(made) == 64
        with private():
            assert place.read_text() == made

    def test_one_that_lies_there_is_closed_to_others(self, place: Path) -> None:
        place.parent.mkdir()
        place.write_text("known")
        place.chmod(0o644)
        with private():
            assert (place.read_text(), stat.S_IMODE(place.stat().st_mode)) == ("known", 0o600)

    @pytest.mark.parametrize(
        "variable", [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "x"), ("RAY_AUTH_TOKEN_PATH", "elsewhere")]
    )
    def test_none_is_made_where_it_would_not_count(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, variable: tuple[str, str]
    ) -> None:
        monkeypatch.setenv(*variable)
        with private():
            assert not place.exists()

    def test_a_home_that_cannot_be_written_is_left_to_ray_to_complain_of(self, place: Path) -> None:
        place.parent.write_text("no folder")
        with private():
            assert place.parent.read_text() == "no folder"
