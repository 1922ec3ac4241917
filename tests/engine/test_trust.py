"""Code of a run that is not one's own is not run: by no name, from no folder, whatever it says of itself."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from problems_for_tests import Knapsack12
from searching_for_tests import searched_run
from strangers_for_tests import altered, strangers, trap

import emoprune
from emoprune.commands.audit import audit
from emoprune.commands.export import export
from emoprune.commands.recovery import recover
from emoprune.errors import ConfigError, StorageError, TrustError
from emoprune.loop.trust import trusted
from emoprune.run import Run
from emoprune.run.signature import key_place, signature, signed_by_user

RUNS = Path(__file__).parents[1] / "data" / "runs"
NAMES = [
    "evil:Thing",
    "evil:",
    "evil:a b",
    "evil:a.b",
    "evil:Thing.x",
    ":x",
    "évil:Thing",
    "deep.evil:Thing",
]


@pytest.fixture(autouse=True)
def nothing_imported() -> Iterator[None]:
    yield
    for name in ("evil", "évil", "deep", "deep.evil", "mine"):
        sys.modules.pop(name, None)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return begun(tmp_path)


def begun(folder: Path, **problem: Any) -> Run:
    plain = {
        "problem": {"name": "problems_for_tests:OfferingKnapsack12", **problem},
        "search": {"population": 8, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    return searched_run(plain, runs=folder / "runs", name="r")


def every_command(run: Run, **how: Any) -> None:
    """Do all that makes a run's problem again; what is refused leaves its error behind."""
    for work in (
        lambda: list(emoprune.resume(run, **how)),
        lambda: export(run, "0", **how),
        lambda: audit(run, **how),
        lambda: recover(run, "0", **how),
    ):
        with pytest.raises((TrustError, ConfigError), match=r"."):
            work()


class TestNames:
    @pytest.mark.parametrize("name", NAMES)
    def test_no_name_of_a_problem_gets_a_strangers_code_imported(
        self, run: Run, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sprung = trap(run.path.parent, "evil", "évil", "deep.evil", "x", "given")
        monkeypatch.chdir(run.path.parent)
        strangers(run.path)
        altered(run.path / "manifest.json", code_folder="..")
        altered(run.path / "config.resolved.json", problem={"name": name})
        every_command(run)
        assert not sprung.exists()

    @pytest.mark.parametrize(
        "changes",
        [
            {"problem": {"name": "channels", "network": "evil:make"}},
            {"problem": {"name": "channels", "objectives": [{"name": {"name": "evil:Thing"}}]}},
            {"problem": {"name": "feature-subsets", "at_most": {"evil:Thing": 3}}},
            {"search": {"crossover": {"name": "uniform", "deep": [{"evil:Thing": 1}]}}},
            {"search": {"algorithm": "evil:Thing"}},
            {"search": {"repair": ["legal", "evil:Thing"]}},
        ],
    )
    def test_code_is_named_at_any_depth(self, run: Run, changes: dict[str, Any]) -> None:
        altered(run.path / "config.resolved.json", **changes)
        strangers(run.path)
        with pytest.raises(TrustError, match=r"would import 'evil:\w+'.* --trust-code"):
            emoprune.resume(run)

    def test_a_stage_names_code_too(self, tmp_path: Path) -> None:
        for _ in emoprune.search(
            {
                "problem": "problems_for_tests:HalvedKnapsack",
                "search": {"population": 8, "generations": 2},
                "evaluation": {"backend": "serial"},
            },
            runs=tmp_path,
            name="r",
        ):
            pass
        run = Run(tmp_path / "r")
        assert trusted(run, trust_code=False)
        stage = next(iter(run.stages.values()))
        altered(stage.path / "config.resolved.json", search={**stage.config["search"], "crossover": "evil:Thing"})
        with pytest.raises(TrustError, match=r"would import 'evil:Thing', .* was altered since it was signed"):
            emoprune.resume(run)


class TestFolders:
    def test_a_strangers_folders_are_not_looked_at_though_no_code_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = Path(shutil.copytree(RUNS / "breast-cancer", tmp_path / "runs" / "r"))
        altered(path / "manifest.json", code_folder="code")
        for folder in (path / "code", tmp_path):
            sprung = trap(folder, "torch", "lightgbm", "json", "evil")
            plug_in = folder / "evil-1.0.dist-info"
            plug_in.mkdir()
            (plug_in / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
            (plug_in / "entry_points.txt").write_text("[emoprune.problems]\nhollow = evil:Thing\n")
        monkeypatch.chdir(tmp_path)
        before = list(sys.path)
        for _ in emoprune.resume(path):
            assert sys.path == before
        altered(path / "config.resolved.json", problem={"name": "hollow"})
        with pytest.raises(ConfigError, match="no problem is called 'hollow'"):
            emoprune.resume(path)
        assert not (path / "code" / "sprung").exists()
        assert not sprung.exists()

    def test_ones_own_folder_of_code_never_shadows_what_is_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = tmp_path / "code"
        sprung = trap(code, "colorsys")
        (code / "mine.py").write_text(
            "from problems_for_tests import Knapsack12\n\nclass Mine(Knapsack12):\n"
            "    def evaluate(self, genomes, seeds, split):\n"
            "        import colorsys\n        return super().evaluate(genomes, seeds, split)\n"
        )
        (code / "search.yaml").write_text(
            "problem: mine:Mine\nsearch: {population: 8, generations: 2}\nevaluation: {backend: serial}\n"
        )
        monkeypatch.delitem(sys.modules, "colorsys", raising=False)
        for _ in emoprune.search(code / "search.yaml", runs=tmp_path / "runs", name="r"):
            pass
        assert list(emoprune.resume(tmp_path / "runs" / "r")) == []
        assert not sprung.exists()


class TestWhoseRunItIs:
    def test_names_in_a_manifest_make_no_run_ones_own(self, run: Run) -> None:
        assert trusted(run, trust_code=False)
        for signed in ([], ["0" * 64], [""], ["ü", "x"]):
            altered(run.path / "manifest.json", signed=signed)
            with pytest.raises(TrustError, match=r"not known to be yours: it bears"):
                trusted(run, trust_code=False)

    @pytest.mark.parametrize("member", ["name", "created", "problem", "seed", "code_folder", "stage"])
    def test_whatever_says_which_run_it_is_is_signed(self, run: Run, member: str) -> None:
        altered(run.path / "manifest.json", **{member: 99 if member == "seed" else "another"})
        assert not run.signed_by_user

    def test_a_config_that_was_altered_is_anothers(self, run: Run) -> None:
        with (run.path / "config.resolved.json").open("a") as file:
            file.write(" ")
        with pytest.raises(TrustError, match="was altered since it was signed"):
            emoprune.resume(run)

    def test_a_run_that_moved_stays_ones_own(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "far").mkdir()
        moved = Path(shutil.move(run.path, tmp_path / "far" / "renamed"))
        assert list(emoprune.resume(moved, overrides=["search.generations=3"]))
        assert trusted(Run(moved), trust_code=False)

    def test_a_resume_that_trusts_makes_a_run_ones_own(self, run: Run) -> None:
        strangers(run.path)
        assert list(emoprune.resume(run, trust_code=True)) == []
        assert list(emoprune.resume(run, overrides=["search.generations=3"]))
        assert len(run.manifest["signed"]) == 2  # of this config, and of the one that it replaced

    def test_a_strangers_run_without_code_goes_on_and_stays_a_strangers(self, tmp_path: Path) -> None:
        path = Path(shutil.copytree(RUNS / "breast-cancer", tmp_path / "r"))
        assert not trusted(Run(path), trust_code=False)
        for _ in emoprune.resume(path):
            pass
        assert "signed" not in Run(path).manifest

    def test_a_run_given_its_problem_as_an_object_is_resumed_with_it(self, tmp_path: Path) -> None:
        plain = {"search": {"population": 8, "generations": 2}, "evaluation": {"backend": "serial"}}
        for _ in emoprune.search(plain, problem=Knapsack12(), runs=tmp_path, name="r"):
            pass
        strangers(tmp_path / "r")
        assert list(emoprune.resume(tmp_path / "r", problem=Knapsack12(), overrides=["search.generations=3"]))


class TestWhereItIsMeasured:
    """A cluster can run code here, and so can what it prepares for workers."""

    @pytest.mark.parametrize(
        ("key", "value", "mine"),
        [
            ("address", "elsewhere:6379", "address=local"),
            ("runtime_env", {"pip": ["evil"]}, "runtime_env={}"),
        ],
    )
    def test_a_strangers_run_does_not_choose(self, tmp_path: Path, key: str, value: object, mine: str) -> None:
        path = Path(shutil.copytree(RUNS / "breast-cancer", tmp_path / "r"))
        own = Run(path).config["evaluation"]
        altered(path / "config.resolved.json", evaluation={**own, "backend": "ray", key: value})
        with pytest.raises(TrustError, match=rf"with its own evaluation\.{key}, .* --trust-code"):
            emoprune.resume(path)
        emoprune.resume(path, overrides=[f"evaluation.{mine}"])
        emoprune.resume(path, trust_code=True)

    @pytest.mark.parametrize(
        "overrides",
        [
            ["evaluation.runtime_env.config={}"],
            ["evaluation.runtime_env.env_vars.MINE=1"],
            ["evaluation.runtime_env.config={}", "evaluation.runtime_env.env_vars.MINE=1"],
        ],
    )
    def test_it_does_not_choose_what_is_left_beside_ones_own_either(self, tmp_path: Path, overrides: list[str]) -> None:
        path = Path(shutil.copytree(RUNS / "breast-cancer", tmp_path / "r"))
        own = Run(path).config["evaluation"]
        environment = {"env_vars": {"PYTHONPATH": "evil"}}
        altered(
            path / "config.resolved.json",
            evaluation={**own, "backend": "ray", "address": "there:1", "runtime_env": environment},
        )
        mine = ["evaluation.address=there:1"]
        with pytest.raises(TrustError, match=r"with its own evaluation\.runtime_env, .*set all of it"):
            emoprune.resume(path, overrides=[*mine, *overrides])
        emoprune.resume(path, overrides=[*mine, f"evaluation.runtime_env={json.dumps(environment)}"])


class TestTheKey:
    @pytest.fixture(autouse=True)
    def another_state(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def test_it_is_for_its_user_alone(self) -> None:
        signature({}, b"")
        assert stat.S_IMODE(key_place().stat().st_mode) == 0o600
        assert stat.S_IMODE(key_place().parent.stat().st_mode) == 0o700
        assert [each.name for each in key_place().parent.iterdir()] == ["key"]

    def test_processes_that_are_first_at_once_agree_on_one(self) -> None:
        found: list[str] = []
        threads = [threading.Thread(target=lambda: found.append(signature({}, b""))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        assert len(set(found)) == 1

    def test_another_key_makes_all_runs_anothers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run = begun(tmp_path)
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
        with pytest.raises(TrustError, match=r"there is no key of yours at .*another/emoprune/key"):
            emoprune.resume(run)
        signature({}, b"")
        with pytest.raises(TrustError, match="it bears another's signature"):
            emoprune.resume(run)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_one_that_others_can_read_is_none(self, mode: int) -> None:
        signature({}, b"")
        key_place().chmod(mode)
        with pytest.raises(StorageError, match="is open to others; remove it"):
            signed_by_user({}, b"")

    def test_one_that_is_no_file_or_too_short_is_none(self) -> None:
        key_place().parent.mkdir(parents=True)
        os.mkfifo(key_place(), 0o600)
        with pytest.raises(StorageError, match="expected 32 bytes"):
            signature({}, b"")
        key_place().unlink()
        key_place().symlink_to(__file__)
        with pytest.raises(StorageError, match="cannot be kept"):
            signature({}, b"")

    def test_where_none_can_be_kept_a_search_runs_and_its_resume_says_why(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("no folder can be made here")
        run = begun(tmp_path)
        assert run.manifest["signed"] == []
        with pytest.raises(TrustError, match=r"state/emoprune/key cannot be kept: .*--trust-code"):
            emoprune.resume(run)
        assert list(emoprune.resume(run, trust_code=True)) == []

    def test_the_words_of_a_relative_state_folder_do_not_count(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", "here")
        assert key_place() == Path.home() / ".local" / "state" / "emoprune" / "key"


def test_a_run_tells_nothing_of_the_key(tmp_path: Path) -> None:
    run = begun(tmp_path)
    key = key_place().read_bytes()
    for file in run.path.rglob("*"):
        assert not file.is_file() or (key not in file.read_bytes() and key.hex().encode() not in file.read_bytes())
    assert len(json.loads((run.path / "manifest.json").read_text())["signed"][0]) == 64
