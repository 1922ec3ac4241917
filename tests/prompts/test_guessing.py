"""A whole prompt whose answers are no better than guessing: nothing is searched, unless a person wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from endpoint_for_tests import Served, serving
from prompts_for_tests import PROMPT, VERBALISERS, causal_folder, parts, prompt_tokens, told, written

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.calling import Endpoint
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.problems.prompts.vocabulary import PromptVocabulary


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
    assert len(list(emoprune.resume(tmp_path / "runs" / "guessing", overrides=given))) == 1


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


def answered_by(served: Served, folder: Path) -> PromptTokens:
    """Return a problem whose answers a server writes."""
    return PromptTokens(
        endpoint=Endpoint(served.url, "small", api="chat", retries=0),
        prompt="about {sentence} it says",
        verbalisers=VERBALISERS,
        references=(),
        stop_early=False,
        examples=parts(folder),
    )


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (lambda _: "Red.", r"0 of 28 answers name none of the words, or several; let the prompt"),
        (lambda _: "Hm", r"28 of 28 answers name none of the words, or several, as 'Hm'; let the prompt ask for one"),
    ],
)
def test_answers_that_are_written_are_tried_as_well(said: Any, first: str, tmp_path: Path) -> None:
    with serving(said=said) as served:
        asking = answered_by(served, tmp_path)
        with pytest.raises(ConfigError, match=rf"the whole prompt errs on .* of 28 examples.*\(1\) {first}"):
            asking.try_unpruned(tmp_path, 1)
    assert len(served.calls) == 1 + 16 + 12


def test_written_answers_that_are_right_are_told_by_the_search_part_alone(tmp_path: Path) -> None:
    with serving() as served:
        asking = answered_by(served, tmp_path)
        right = {
            f"about {each.inputs[0]} it says": each.answer for part in asking._task.data.parts.values() for each in part
        }
        served.said = lambda messages: f"It is {VERBALISERS[right[messages[-1]['content']]]}."
        asking.try_unpruned(tmp_path, 1)
        asking.try_unpruned(tmp_path, 1)
    assert len(served.calls) == 1 + 16, "nothing is paid twice"


def test_words_are_searched_where_the_prompt_without_any_or_a_reference_is_better_than_guessing(tmp_path: Path) -> None:
    model = causal_folder(tmp_path / "model")
    examples, words = told(model, 60)
    files = {
        part: str(written(tmp_path / f"{part}.tsv", examples[start : start + 20]))
        for part, start in (("search", 0), ("select", 20), ("test", 40))
    }
    others = {"one": words["two"], "two": words["one"]}
    for given, folder in ((words, "right"), (others, "wrong")):
        prompt = PROMPT.replace("the cat", "{words} the cat")
        problem = PromptVocabulary(
            model=str(model),
            prompt=prompt,
            examples=files,
            verbalisers=given,
            words=["old", "new"],
            percentile=0,
            slots=1,
        )
        (tmp_path / folder).mkdir()
        if folder == "right":
            problem.try_unpruned(tmp_path / folder, 1)
            assert not (tmp_path / folder / "vocabulary.json").exists(), "the prompt without words is good enough"
            continue
        with pytest.raises(ConfigError, match=r"the prompt without words and its references errs on .* of 40 examples"):
            problem.try_unpruned(tmp_path / folder, 1)
