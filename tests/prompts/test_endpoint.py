"""A model behind an endpoint: asked within limits, again where that helps, and never more at once than was said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_for_tests import serving
from prompts_for_tests import VERBALISERS, causal_folder, parts, rows, written

import emoprune
from emoprune.contracts import Failure
from emoprune.errors import ConfigError
from emoprune.problems.language.loading import pretrained
from emoprune.problems.prompts.scorers.calling import Caller, Endpoint, EndpointFailed
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Choices, Filled
from emoprune.problems.prompts.scorers.endpoint import EndpointScorer
from emoprune.problems.prompts.scorers.reading import LocalModel
from emoprune.problems.prompts.template import Template
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split

TEMPLATE = Template.of("the cat sees a dog red {sentence} is", {"sentence"})
CHOICES = Choices.one_each((" red", " blue"))


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> CausalScorer:
    folder = causal_folder(tmp_path_factory.mktemp("causal"))
    return CausalScorer(LocalModel(pretrained(str(folder), "language-model"), "cpu", special=True))


def asked(count: int = 6) -> Filled:
    return Filled(TEMPLATE, tuple((text,) for text, _ in rows(count)))


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint(**{"url": url, "model": "small", "time_limit": 5.0, "retries": 2, **more})


def chosen(url: str, count: int = 6, **more: Any) -> np.ndarray[Any, Any]:
    return EndpointScorer(endpoint(url, **more)).prompted(asked(count), CHOICES).choices(np.arange(count))


@pytest.mark.parametrize("listed", [False, True])
def test_a_model_behind_a_server_chooses_as_the_model_here(causal: CausalScorer, listed: bool) -> None:
    here = causal.prompted(asked(), Choices.one_each(CHOICES.words, (17, 18))).choices(np.arange(6))
    with serving(causal, listed=listed) as served:
        there = chosen(served.url, top=28)
    assert np.allclose(np.diff(there), np.diff(here), atol=1e-4)
    assert {(call["model"], call["max_tokens"], call["logprobs"]) for call in served.calls} == {("small", 1, 28)}
    assert sorted(call["prompt"] for call in served.calls) == sorted(asked().texts())


def test_no_more_calls_are_in_flight_than_was_said_and_answers_keep_their_order() -> None:
    with serving(pause=0.05) as served:
        found = chosen(served.url, 12, in_flight=3)
    assert served.most_at_once == 3
    expected = [[-1.0, -2.0 + len(text) % 3] for text in asked(12).texts()]
    assert found.tolist() == expected


def test_a_server_that_is_busy_is_asked_again() -> None:
    with serving(trouble=lambda number: "429" if number <= 2 else None) as served:
        assert chosen(served.url, 1).shape == (1, 2)
    assert len(served.calls) == 3


@pytest.mark.parametrize("trouble", ["429", "503"])
def test_a_server_that_stays_busy_is_given_up(trouble: str) -> None:
    with serving(trouble=lambda _: trouble) as served, pytest.raises(EndpointFailed, match=f"{trouble} after 3 tries"):
        chosen(served.url, 1)
    assert len(served.calls) == 3


def test_a_refusal_is_not_asked_again() -> None:
    with serving(trouble=lambda _: "401") as served, pytest.raises(EndpointFailed, match=r"answered 401: .*go away"):
        chosen(served.url, 1)
    assert len(served.calls) == 1


@pytest.mark.timeout(30)
@pytest.mark.parametrize("trouble", ["hang", "stall", "trickle", "trickled headers"])
def test_a_server_that_hangs_is_given_up_after_the_time_limit(trouble: str) -> None:
    begun = time.monotonic()
    with (
        serving(trouble=lambda _: trouble) as served,
        pytest.raises(EndpointFailed, match=r"no answer after 2 tries: the answer was not whole after 0\.5 s"),
    ):
        chosen(served.url, 1, time_limit=0.5, retries=1, in_flight=1)
    assert len(served.calls) == 2, "one call, and one retry"
    assert time.monotonic() - begun < 5, "twice half a second, and no pause before the first retry"


@pytest.mark.timeout(30)
def test_the_time_limit_does_not_begin_anew_when_an_answer_begins() -> None:
    begun = time.monotonic()
    with (
        serving(trouble=lambda _: "stall", pause=1.5) as served,
        pytest.raises(EndpointFailed, match="the answer was not whole after 2 s"),
    ):
        chosen(served.url, 1, time_limit=2.0, retries=0)
    assert 2.0 <= time.monotonic() - begun < 3.2


@pytest.mark.timeout(30)
@pytest.mark.parametrize("trouble", ["lost", "cut", "stall", "trickle", "trickled headers"])
def test_a_connection_that_is_lost_is_made_again(trouble: str) -> None:
    with serving(trouble=lambda number: trouble if number == 1 else None) as served:
        assert chosen(served.url, 1, time_limit=0.5, in_flight=1).shape == (1, 2)
    assert len(served.calls) == 2


def test_an_answer_that_is_always_cut_off_is_given_up() -> None:
    with (
        serving(trouble=lambda _: "cut") as served,
        pytest.raises(EndpointFailed, match=r"no answer after 3 tries: ProtocolError: .*IncompleteRead"),
    ):
        chosen(served.url, 1)
    assert len(served.calls) == 3


@pytest.mark.parametrize("wish", ["1", "soon"])
def test_a_server_that_is_busy_is_left_alone_as_long_as_it_asks_for(wish: str) -> None:
    begun = time.monotonic()
    with serving(trouble=lambda number: "503" if number == 1 else None, retry_after=wish) as served:
        chosen(served.url, 1)
    assert len(served.calls) == 2
    assert (time.monotonic() - begun >= 1) == (wish == "1"), "what cannot be read is no wish"


def test_a_redirection_is_not_followed() -> None:
    with serving(trouble=lambda _: "307") as served, pytest.raises(EndpointFailed, match=r"answered 307: .*go away"):
        chosen(served.url, 1)
    assert len(served.calls) == 1


def test_nobody_there_is_said() -> None:
    with pytest.raises(EndpointFailed, match=r"no answer: .*Connection"):
        chosen("http://127.0.0.1:9/v1", 1, retries=0)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("<html>", "expected JSON, found '<html>'"),
        ('{"choices": [{"text": "x"}]}', r"expected logprobs\.top_logprobs of one token"),
        ('{"choices": []}', r"expected logprobs\.top_logprobs of one token"),
        ('{"choices": [{"logprobs": {"top_logprobs": [{}]}}]}', r"expected logprobs\.top_logprobs of one token"),
    ],
)
def test_an_answer_of_another_form_is_named(answer: str, complaint: str) -> None:
    with serving(trouble=lambda _: answer) as served, pytest.raises(EndpointFailed, match=complaint):
        chosen(served.url, 1)


def test_choices_that_are_not_among_the_likeliest_are_a_tie_below_them() -> None:
    answer = '{"choices": [{"logprobs": {"top_logprobs": [{" x": -0.5, " y": -3.0}]}}]}'
    with serving(trouble=lambda _: answer) as served:
        assert chosen(served.url, 1).tolist() == [[-4.0, -4.0]]


def test_a_key_is_read_from_its_variable_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with serving() as served:
        chosen(served.url, 1, key_variable="MY_KEY")
    assert served.headers[0]["Authorization"] == "Bearer secret"
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ConfigError, match="the environment variable MY_KEY is not set"):
        Caller(endpoint("http://x", key_variable="MY_KEY"))


def test_more_members_of_a_request_are_passed_on_and_texts_are_continued() -> None:
    with serving() as served:
        scorer = EndpointScorer(endpoint(served.url, body={"allowed_token_ids": [1, 2]}))
        said = scorer.prompted(asked(2), Choices.none()).continuations(np.arange(2), 7, "\n")
    assert said == [" red", " red"]
    assert all(call["allowed_token_ids"] == [1, 2] and call["max_tokens"] == 7 for call in served.calls)
    assert all(call["stop"] == ["\n"] for call in served.calls)


def test_a_server_that_echoes_says_how_surprising_a_prompt_is(causal: CausalScorer) -> None:
    text = "the cat sees a dog"
    with serving(causal) as served:
        found = EndpointScorer(endpoint(served.url)).token_scores(text)
    expected = causal.token_scores(text)
    assert found.surprisal[1:] == pytest.approx(expected.surprisal[1:])
    with serving() as plain, pytest.raises(ConfigError, match=r"does not echo a prompt .*leave that reference out"):
        EndpointScorer(endpoint(plain.url)).token_scores(text)


def test_answers_of_several_tokens_are_echoed_and_their_whole_likelihood_counts(
    causal: CausalScorer, tmp_path: Path
) -> None:
    tokenizer = causal.local.loaded.source.name
    verbalisers = {"one": "the cat", "two": ["blue", "it likes a dog"]}
    with serving(causal) as served:
        asking = problem(served.url, tmp_path, verbalisers=verbalisers, tokenizer=tokenizer)
        asking.prepare(tmp_path, 1)
        asking.setup("cpu", 1)
        task, rows = asking._task, np.arange(6)
        there = task.scoring().prompted(task.data.template, Split.SEARCH).choices(rows)

    def worth(text: str, word: str) -> float:
        before = len(causal.token_scores(text).surprisal)
        return -float(causal.token_scores(f"{text} {word}").surprisal[before:].sum())

    expected = []
    for example in task.data.parts[Split.SEARCH]:
        one, *two = (worth(TEMPLATE.about(example.inputs), word) for word in ("the cat", "blue", "it likes a dog"))
        expected.append([one, np.logaddexp.reduce(two)])
    assert np.allclose(there, expected, atol=1e-4)
    assert all(call["echo"] and call["max_tokens"] == 1 for call in served.calls)
    assert len(served.calls) == 36, "18 to see how answers follow, and 18 to choose"
    with (
        serving() as plain,
        pytest.raises(ConfigError, match="expected the prompt echoed with log-probabilities, which"),
    ):
        problem(plain.url, tmp_path, verbalisers=verbalisers, tokenizer=tokenizer).prepare(tmp_path, 1)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"url": "127.0.0.1"}, "begins with http:// or https://, found '127.0.0.1'"),
        ({"in_flight": 0}, "in_flight: expected 1 or more, found 0"),
        ({"retries": -1}, "retries: expected 0 or more, found -1"),
        ({"time_limit": 0}, "time_limit: expected seconds above 0, found 0"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Endpoint(**{"url": "http://x", "model": "small", **wrong})


def problem(url: str, folder: Path, **more: Any) -> PromptTokens:
    tokenizer = more.pop("tokenizer", None)
    options = {"prompt": TEMPLATE.text, "verbalisers": VERBALISERS, "references": (), "stop_early": False}
    own = {**options, "examples": parts(folder, 6, 6, 6), **more}
    return PromptTokens(endpoint=endpoint(url, retries=0, tokenizer=tokenizer), **own)


def test_a_call_that_fails_is_a_failure_record_of_its_candidate_alone(tmp_path: Path) -> None:
    with serving() as served:
        asking = problem(served.url, tmp_path)
        asking.prepare(tmp_path, 1)
        asking.setup("cpu", 1)
        served.trouble = lambda number: "500" if number == len(before) + 2 else None
        before = list(served.calls)
        genomes = np.stack([asking.space.full, asking.space.full])
        found = asking.evaluate(genomes, np.zeros(2, dtype=np.uint64), Split.SEARCH)
    assert isinstance(found[0], Failure)
    assert "answered 500" in found[0].reason
    assert not isinstance(found[1], Failure)


def test_an_endpoint_without_log_probabilities_is_refused_before_the_search(tmp_path: Path) -> None:
    with serving(trouble=lambda _: '{"choices": [{"text": "x"}]}') as served:
        asking = problem(served.url, tmp_path)
        with pytest.raises(
            ConfigError,
            match=r"cannot be used: .* started so that it returns .*say `api: chat` .*, or .* `answering: written`",
        ):
            asking.prepare(tmp_path, 1)


@pytest.mark.parametrize(
    ("trouble", "complaint"),
    [
        ("400", "answered 400: .*go away"),
        ('{"choices": [{"logprobs": {}}]}', "expected choices with a text"),
    ],
)
def test_an_endpoint_that_does_not_write_is_refused_before_the_search(
    tmp_path: Path, trouble: str, complaint: str
) -> None:
    texts = [(text, str(number % 3)) for number, (text, _) in enumerate(rows(12))]
    examples = str(written(tmp_path / "sums.tsv", texts, ("sentence", "answer")))
    writing = {"task": "generation", "verbalisers": None, "answer_tokens": 7}
    with serving(trouble=lambda _: trouble) as served:
        asking = problem(served.url, tmp_path, **writing | {"examples": examples})
        with pytest.raises(ConfigError, match=f"endpoint: cannot be used: .*{complaint}"):
            asking.prepare(tmp_path, 1)
        assert [call["max_tokens"] for call in served.calls] == [7], "asked once, as it will be"
        served.trouble = lambda _: None
        asking.prepare(tmp_path, 1)
    assert len(served.calls) == 2


def test_words_that_the_endpoint_never_says_are_told_of_before_the_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving() as served:
        problem(served.url, tmp_path).prepare(tmp_path, 1)
        assert not caplog.records
        problem(served.url, tmp_path, verbalisers={"one": "dark red", "two": "dark blue"}).prepare(tmp_path, 1)
    assert "none of the answers ' dark red', ' dark blue' is among the 20 likeliest tokens" in caplog.text


@pytest.mark.parametrize(
    ("trouble", "complaint"),
    [
        (None, "with its log-probabilities, so perplexity is not known"),
        ("400", r"with its log-probabilities \(endpoint .*: answered 400: .*go away.*\), so perplexity is not known"),
        ("501", r"answered 501: .*, so perplexity is not known"),
    ],
)
def test_an_endpoint_that_does_not_echo_is_refused_with_advice_before_costly_references_are_measured(
    tmp_path: Path, trouble: str | None, complaint: str
) -> None:
    with serving(trouble=lambda number: trouble if served.calls[number - 1].get("echo") else None) as served:
        asking = problem(served.url, tmp_path, references=["threshold-accepting", "perplexity"])
        with pytest.raises(ConfigError, match=f"{complaint}; leave that reference out: name in `references` those you"):
            asking.prepare(tmp_path, 1)
    assert len(served.calls) == 7, "six to see that it can be used, one that asks for an echo"


@pytest.mark.timeout(100)
def test_a_search_through_an_endpoint_ends_in_a_front_of_shorter_prompts_and_a_failure_is_kept(
    causal: CausalScorer, tmp_path: Path
) -> None:
    tokenizer = causal.local.loaded.source.name
    with serving(causal, trouble=lambda number: "500" if number == 80 else None) as served:
        config = {
            "problem": {
                "name": "prompt-tokens",
                "prompt": TEMPLATE.text,
                "verbalisers": VERBALISERS,
                "examples": parts(tmp_path, 6, 6, 6),
                "endpoint": {
                    "url": served.url,
                    "model": "small",
                    "top": 28,
                    "tokenizer": tokenizer,
                    "retries": 0,
                },
                "references": ["perplexity", "random"],
                "accept_guessing": True,
            },
            "search": {"population": 6, "generations": 2},
            "evaluation": {"backend": "serial"},
        }
        search = emoprune.search(config, runs=tmp_path / "runs", name="asked")
        assert len(list(search)) == 2
    assert search.run.pareto["test.tokens"].min() < 8
    history = search.run.history
    (failed,) = history.loc[history["status"] != "ok", "reason"]
    assert "answered 500" in failed
