"""The example config on the real language model, by the command line: search, table, export, page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import emoprune
from emoprune.records import Split, State

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SMALLER = (  # what the example does in five minutes, in less than one
    *("problem.reference_prompts=12", "problem.search_examples=8", "problem.select_examples=12"),
    *("problem.test_examples=16", "search.population=8", "search.generations=2", "evaluation.backend=serial"),
)


def emoprune_in(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "emoprune", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_example_is_searched_its_best_prompt_shown_and_written_in_every_form(tmp_path: Path) -> None:
    said = emoprune_in(
        tmp_path, "run", "sst2-prompt", "--name", "small", *(word for each in SMALLER for word in ("--set", each))
    )
    run = emoprune.open_run(tmp_path / "runs" / "small")
    assert run.progress.state is State.FINISHED
    measured = {split for _, split in run.remeasured()}
    assert measured == {Split.SELECT, Split.TEST}
    assert "unpruned" in said
    assert "[-" in said, "what goes is bracketed where nothing can be struck through"

    formats = [word for name in ("text", "json", "chat") for word in ("--format", name)]
    emoprune_in(tmp_path, "export", "small", "knee", *formats)
    (folder,) = (run.path / "exports").iterdir()
    prompt = (folder / "prompt.txt").read_text(encoding="utf-8").removesuffix("\n")
    assert prompt.count("{sentence}") == 1
    plain, chat = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("prompt", "chat"))
    assert plain["prompt"] == prompt
    assert plain["answers"] == {"negative": " terrible", "positive": " great"}
    assert chat["messages"] == [{"role": "user", "content": prompt}]
    assert f"<|im_start|>user\n{prompt}<|im_end|>" in chat["rendered"]

    emoprune_in(tmp_path, "report", "small")
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "kept by" in page
