"""An endpoint that fails before the search: it is said, no prompt is thought worse of for it, and preparing goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from endpoint_for_tests import Served, serving
from prompts_for_tests import VERBALISERS, parts

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.prompts.scorers.calling import Endpoint, EndpointFailed, EndpointRefused
from emoprune.problems.prompts.scorers.ledger import BudgetSpent
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.problems.prompts.vocabulary import PromptVocabulary

PROMPT = "the cat sees a dog red {sentence} is"
GOES_ON = r"answered 500.*while {} were made\. What was measured .* is kept .* resume the run when the endpoint answers"
REFERENCES = GOES_ON.format("references and baselines")
CHECKED = 6  # calls that see how answers follow, one per search example; a resumed run knows, and looks at 4


def endpoint(served: Served) -> Endpoint:
    return Endpoint(served.url, "small", time_limit=5.0, retries=0, in_flight=1)


def tokens(served: Served, folder: Path, **more: Any) -> PromptTokens:
    options: dict[str, Any] = {"prompt": PROMPT, "verbalisers": VERBALISERS, "references": ["threshold-accepting"]}
    return PromptTokens(endpoint=endpoint(served), examples=parts(folder, 6, 6, 6), **{**options, **more})


def made(folder: Path) -> dict[str, Any]:
    return {name: json.loads((folder / name).read_text()) for name in ("references.json", "yardsticks.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str]]:
    """What is made through an endpoint that always answers, and what it is asked."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with serving() as served:
        tokens(served, folder, blocks=None, halving=0.5).prepare(folder, 1)
    return made(folder), [call["prompt"] for call in served.calls]


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_an_outage_before_the_search_is_said_and_preparing_again_comes_to_what_it_would_have(
    undisturbed: tuple[dict[str, Any], list[str]], tmp_path: Path, place: float
) -> None:
    expected, prompts = undisturbed
    first = CHECKED + 1 + round(place * (len(prompts) - CHECKED - 1))
    with serving(trouble=lambda number: "500" if number >= first else None) as served:
        with pytest.raises(EndpointFailed, match=REFERENCES):
            tokens(served, tmp_path, blocks=None, halving=0.5).prepare(tmp_path, 1)
        assert len(served.calls) <= first + 1, "what is not yet asked when a call fails is not asked any more"
        served.trouble = lambda number: None
        tokens(served, tmp_path, blocks=None, halving=0.5).prepare(tmp_path, 1)
    assert made(tmp_path) == expected
    again = len(served.calls) - len(prompts) - 4
    assert 1 <= again <= 7, "of the prompt that was being measured alone, examples are asked about once more"


def test_a_run_that_an_outage_ended_before_its_search_is_resumed(tmp_path: Path) -> None:
    with serving(trouble=lambda number: "500" if number == 30 else None) as served:
        config = {
            "problem": {
                "name": "prompt-tokens",
                "prompt": PROMPT,
                "verbalisers": VERBALISERS,
                "examples": parts(tmp_path, 6, 6, 6),
                "endpoint": {"url": served.url, "model": "small", "retries": 0, "in_flight": 1},
                "references": ["threshold-accepting"],
                "accept_guessing": True,
            },
            "search": {"population": 4, "generations": 1},
            "evaluation": {"backend": "serial"},
        }
        with pytest.raises(EndpointFailed, match=REFERENCES):
            list(emoprune.search(config, runs=tmp_path / "runs", name="asked"))
        assert len(served.calls) in {30, 31}
        resumed = emoprune.resume(tmp_path / "runs" / "asked")
        assert len(list(resumed)) == 1
    assert (resumed.run.history["status"] == "ok").all()


def test_a_bound_that_references_reach_is_said_with_what_it_went_into_and_the_run_goes_on_with_a_larger_one(
    tmp_path: Path,
) -> None:
    with serving() as served:
        config = {
            "problem": {
                "name": "prompt-tokens",
                "prompt": PROMPT,
                "verbalisers": VERBALISERS,
                "examples": parts(tmp_path, 6, 6, 6),
                "endpoint": {"url": served.url, "model": "small", "retries": 0},
                "references": ["threshold-accepting"],
                "accept_guessing": True,
                "at_most": {"calls": 40},
            },
            "search": {"population": 4, "generations": 1},
            "evaluation": {"backend": "serial"},
        }
        with pytest.raises(
            BudgetSpent,
            match=r"at_most: calls: the whole run may have 40; \d+ are spent, and \d more are wanted, to make the "
            r"references threshold-accepting \(\d prompts\)\. All of it went into .* references and baselines are not "
            r"finished.*resume RUN --set problem\.at_most\.calls=20000`.*fewer reference_prompts",
        ):
            list(emoprune.search(config, runs=tmp_path / "runs", name="bounded"))
        asked = len(served.calls)
        assert 30 < asked <= 40
        resumed = emoprune.resume(tmp_path / "runs" / "bounded", overrides=["problem.at_most.calls=400"])
        assert len(list(resumed)) == 1
    prompts = [call["prompt"] for call in served.calls]
    assert resumed.run.progress.spent["calls"] == str(len(prompts))
    with pytest.raises(ConfigError, match=r"problem\.reference_prompts: 200 -> 9\n.*problem\.at_most\.calls"):
        emoprune.resume(tmp_path / "runs" / "bounded", overrides=["problem.reference_prompts=9"])


def test_a_bound_that_the_first_answers_reach_is_said_as_well(tmp_path: Path) -> None:
    with (
        serving() as served,
        pytest.raises(BudgetSpent, match=r"6 more are wanted\. All of it .* the first answers are"),
    ):
        tokens(served, tmp_path, at_most={"calls": 4}).prepare(tmp_path, 1)
    assert not served.calls


def vocabulary(served: Served, folder: Path) -> PromptVocabulary:
    options: dict[str, Any] = {"prompt": "{words} the {sentence} is", "verbalisers": VERBALISERS, "percentile": 0}
    examples, words = parts(folder, 6, 6, 6), ["old", "new", "biggest"]
    return PromptVocabulary(endpoint=endpoint(served), examples=examples, words=words, **options)


def test_a_word_that_the_endpoint_does_not_take_is_named_as_it_is_and_not_as_an_outage(tmp_path: Path) -> None:
    with (
        serving(trouble=lambda number: "400" if number == CHECKED + 15 else None) as served,
        pytest.raises(EndpointRefused, match=r"answered 400: .*go away.*\}$"),
    ):
        vocabulary(served, tmp_path).prepare(tmp_path, 1)


def test_a_word_is_not_left_out_for_an_outage(tmp_path: Path) -> None:
    with serving(trouble=lambda number: "500" if number == CHECKED + 15 else None) as served:
        with pytest.raises(EndpointFailed, match=GOES_ON.format("the words' influences")):
            vocabulary(served, tmp_path).prepare(tmp_path, 1)
        vocabulary(served, tmp_path).prepare(tmp_path, 1)
    influences = [json.loads(line) for line in (tmp_path / "influence.jsonl").read_text().splitlines()]
    assert [name for name, _ in influences] == ["old", "new", "biggest"]
    assert all(isinstance(influence, float) for _, influence in influences)


def test_a_text_that_the_endpoint_does_not_take_is_not_acceptable_and_preparing_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as served:
        served.trouble = lambda number: None if "cat" in served.calls[number - 1]["prompt"] else "400"
        problem = tokens(served, tmp_path, references=["threshold-accepting", "random"], blocks=None, stop_early=True)
        problem.prepare(tmp_path, 1)
    climbed = next(each for each in problem.references() if each.name == "threshold-accepting")
    assert "cat" in str(problem.describe(climbed.genome)["prompt"])
    assert problem.evaluations_of_references["yardsticks"] < len(problem.references())
    assert "no prompt is given up for the sake of 'the sees" in caplog.text
    assert "answered 400" in caplog.text


def test_halving_is_not_left_out_silently_where_the_whole_prompt_cannot_be_measured(tmp_path: Path) -> None:
    with serving(trouble=lambda number: None if number <= CHECKED else "400") as served:
        problem = tokens(served, tmp_path, references=[], blocks=None, halving=0.5)
        with pytest.raises(
            ConfigError, match=r"halving: expected the whole prompt's accuracy, .* or leave halving out"
        ):
            problem.prepare(tmp_path, 1)
