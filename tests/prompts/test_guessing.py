"""A whole prompt whose answers are no better than guessing: nothing is searched, unless a person wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prompts_for_tests import PROMPT, VERBALISERS, causal_folder, parts, prompt_tokens, told, written

import emoprune
from emoprune.errors import ConfigError


def test_a_prompt_that_guesses_stops_the_run_before_the_search_and_can_be_searched_all_the_same(
    model: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"prompt": PROMPT, "verbalisers": VERBALISERS, "references": []}
    config = {
        "problem": {"name": "prompt-tokens", "model": str(model), "examples": parts(tmp_path), **options},
        "search": {"population": 4, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    searching = emoprune.search(config, runs=tmp_path / "runs", name="guessing")
    with pytest.raises(
        ConfigError,
        match=r"the whole prompt errs on .* of 28 examples, .* \(1\) the model would go on otherwise .*'one', 'two'.*"
        r"accept_guessing: true",
    ):
        list(searching)
    assert len(searching.run.history) == 0
    assert not (searching.run.path / "problem" / "references.json").exists()  # which an endpoint would be paid for
    given = ["problem.accept_guessing=true"]
    assert len(list(emoprune.search(config, overrides=given, runs=tmp_path / "runs", name="accepted"))) == 1


def test_a_prompt_that_is_answered_rightly_is_searched(tmp_path: Path) -> None:
    model = causal_folder(tmp_path / "model")
    examples, words = told(model, 60)
    files = {
        part: str(written(tmp_path / f"{part}.tsv", examples[start : start + 20]))
        for part, start in (("search", 0), ("select", 20), ("test", 40))
    }
    problem = prompt_tokens(model, files, verbalisers=words)
    (tmp_path / "run").mkdir()
    problem.try_unpruned(tmp_path / "run", 1)
    problem.prepare(tmp_path / "run", 1)
