"""A run that is killed while a transformer is prepared goes on from the files that were made, to the same history."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from commands_for_tests import Command, begun, ended, entry_point, wait_for
from killing_for_tests import facts
from transformers_for_tests import SMALL, sentences_folder

# What prepare makes, in this order, and what waits for ever between one file and the next if it is told to.
CLASSIFIER, SCORES, REFERENCES = FILES = "classifier.safetensors", "scores.safetensors", "references.json"
WAITING = """\
import signal
from pathlib import Path

from emoprune.problems.networks.transformers.criteria.weights import Magnitude
from emoprune.problems.networks.transformers.references.uniform import Uniform

def wait_as_told(name):
    if Path(__file__).with_name(f"wait-in-{name}").exists():
        signal.alarm(120)  # ends a process that nobody ends
        signal.pause()

class Criterion(Magnitude):
    def __call__(self, evidence):
        wait_as_told("criterion")
        return super().__call__(evidence)

class Reference(Uniform):
    def found(self, inputs):
        wait_as_told("reference")
        return super().found(inputs)
"""


@pytest.fixture
def emoprune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return entry_point(monkeypatch, capsys)


def config_in(folder: Path) -> str:
    """Write the search of a classifier that is still to be fitted, with plug-ins that wait as they are told."""
    problem = {
        "name": "heads-and-neurons",
        **SMALL,
        **sentences_folder(folder),
        "task": "text-classification",
        "criterion": "waiting:Criterion",
        "references": ["waiting:Reference"],
        "objectives": ["error", "macs"],
    }
    (folder / "waiting.py").write_text(WAITING, encoding="utf-8")
    search = {"population": 4, "generations": 1}
    config = {"problem": problem, "search": search, "evaluation": {"backend": "serial"}}
    (folder / "small.yaml").write_text(json.dumps(config), encoding="utf-8")
    return "small.yaml"


def killed(folder: Path, place: str, made: list[str], *words: str) -> None:
    """Kill a command that waits in a plug-in, once the run `killed` has the files that are made before it."""
    (folder / f"wait-in-{place}").touch()
    kept = folder / "runs" / "killed" / "problem"
    process = begun(folder, *words)
    try:
        wait_for(lambda: all((kept / name).exists() for name in made), process)
    finally:
        process.kill()
    assert ended(process).code == -signal.SIGKILL
    assert [name for name in FILES if (kept / name).exists()] == made
    (folder / f"wait-in-{place}").unlink()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_after_the_first_and_again_after_the_second_file_a_run_resumes_to_the_history_of_a_whole_one(
    tmp_path: Path, emoprune: Command
) -> None:
    config = config_in(tmp_path)
    killed(tmp_path, "criterion", [CLASSIFIER], "run", config, "--name", "killed")
    killed(tmp_path, "reference", [CLASSIFIER, SCORES], "resume", "killed")
    for words in (("resume", "killed"), ("run", config, "--name", "whole")):
        end = emoprune(*words)
        assert end.code == 0, end.err
    cut, whole = (tmp_path / "runs" / name for name in ("killed", "whole"))
    assert facts(cut) == facts(whole)
    for name in FILES:
        assert (cut / "problem" / name).read_bytes() == (whole / "problem" / name).read_bytes()
