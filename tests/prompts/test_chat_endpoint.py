"""An endpoint that only chats: answers are written, calls and tokens counted and bounded, and their cost measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoint_for_tests import Served, serving
from prompts_for_tests import VERBALISERS, parts, prompt_tokens
from rich.console import Console

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.options import TokenOptions
from emoprune.problems.prompts.scorers.calling import Caller, Endpoint
from emoprune.problems.prompts.scorers.ledger import BudgetSpent, Ledger, Price, Spent
from emoprune.problems.prompts.tasks.naming import Naming
from emoprune.problems.prompts.tasks.writing import Writing
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.problems.prompts.vocabulary import PromptVocabulary
from emoprune.records import Split
from emoprune.report.terminal import status_panel

PROMPT = "the cat sees a dog red {sentence} is"


def problem(served: Served, folder: Path, **more: Any) -> PromptTokens:
    own = {"api": "chat", "retries": 0, **more.pop("endpoint", {})}
    options = {"prompt": PROMPT, "verbalisers": VERBALISERS, "references": (), "stop_early": False}
    return PromptTokens(
        endpoint=Endpoint(served.url, "small", **own), **{**options, "examples": parts(folder, 6, 6, 6), **more}
    )


def ready(asking: PromptTokens, folder: Path) -> PromptTokens:
    asking.prepare(folder, 1)
    asking.setup("cpu", 1)
    return asking


def row(asking: PromptTokens, genome: Any = None) -> Any:
    genome = asking.space.full if genome is None else genome
    return asking.evaluate(np.array(genome)[None], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]


def by_length(messages: list[dict[str, str]]) -> str:
    """Answer in words of its own that depend on the question alone."""
    return "It is **Red**." if len(messages[-1]["content"]) % 2 else "blue"


def test_answers_are_written_at_temperature_0_and_the_run_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(said=by_length) as served:
        asking = ready(problem(served, tmp_path, objectives=["accuracy", "balanced-accuracy", "tokens"]), tmp_path)
        found = row(asking)
        expected = []
        for example in asking._task.data.parts[Split.SEARCH]:
            text = PROMPT.replace("{sentence}", example.inputs[0])
            expected.append((example.answer == "one") == bool(len(text) % 2))
    assert found[0] == np.mean(expected)
    assert set(served.paths) == {"/v1/chat/completions"}
    assert served.calls[-1]["messages"][0]["role"] == "user"
    assert {(call["temperature"], call["max_tokens"], "logprobs" in call) for call in served.calls} == {(0, 64, False)}
    assert "there is no reward, no cross-entropy and no entropy" in caplog.text
    assert any("Answers are written at temperature 0" in note for note in asking.inspect().notes)
    with pytest.raises(ConfigError, match=r"'reward' is no measure of this task, whose answers are not chosen"):
        problem(served, tmp_path, objectives=["reward"])


def test_a_system_message_is_sent_as_one(tmp_path: Path) -> None:
    with serving() as served:
        asked, body = Messages("the cat {sentence}", "a dog {sentence} is"), {"max_tokens": None, "seed": 1}
        ready(problem(served, tmp_path, prompt=asked, endpoint={"body": body}), tmp_path)
    assert (served.calls[0]["seed"], "max_tokens" in served.calls[0]) == (1, False)
    system, user = served.calls[0]["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    text = system["content"].removeprefix("the cat ")
    assert user["content"] == f"a dog {text} is"


def test_a_chat_that_gives_log_probabilities_is_asked_for_them_where_answers_are_chosen(tmp_path: Path) -> None:
    top = [{"token": "red", "logprob": -0.5}, {"token": "blue", "logprob": -1.5}]
    answer = json.dumps({"choices": [{"logprobs": {"content": [{"token": "red", "top_logprobs": top}]}}]})
    with serving(trouble=lambda _: answer) as served:
        asking = ready(problem(served, tmp_path, answering="chosen", objectives=["cross-entropy"]), tmp_path)
        assert asking._task.data.task.choices.words == ("red", "blue"), "no space begins a chat's answer"
        found = row(asking)
    assert found[0] == pytest.approx(np.mean([np.log1p(np.exp(-1.0)), 1 + np.log1p(np.exp(-1.0))]))
    assert {(call["logprobs"], call["top_logprobs"], call["max_tokens"]) for call in served.calls} == {(True, 20, 1)}
    assert json.loads((tmp_path / "continuation.json").read_text())["masses"]["nothing"] == pytest.approx(
        np.exp(-0.5) + np.exp(-1.5)
    )


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("red", 0), (" **Red.**\n", 0), ("The answer is blue!", 1), ("dark blue", 2), ("It is dark  blue.", 2),
        ("red or blue", None), ("reddish", None), ("", None), ("I cannot say", None),
        ("(C)", 3), ("+", 4), ("a + b", 4),
    ],
)  # fmt: skip
def test_an_answer_names_the_only_label_whose_words_stand_in_it(text: str, label: int | None) -> None:
    words = {"one": ("red",), "two": ("blue",), "three": ("dark blue", "navy"), "four": ("C",), "five": ("+",)}
    assert Naming(words, Writing()).named(text) == label


OPINIONS = {"pos": ("good", "great"), "neg": ("bad", "not sure")}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This is not good.", None), ("It isn't good.", None), ("It isn’t that good", None), ("never good", None),
        ("I do not think that it is good", None), ("Not good, but bad.", 1), ("It is not bad, it is great.", 0),
        ("Good, not bad.", 0), ("not\ngood", 0), ("No, good.", 0), ("I am not sure.", 1), ("Knot good", 0),
        ("<think>bad? It is not good.</think>Good", 0), ("It is bad, or so.</think>\n\ngood", 0),
        ("<think>Is it good? I", None), ("<Thinking>bad</Thinking> not bad", None),
    ],
)  # fmt: skip
def test_what_is_denied_is_not_named_and_what_is_thought_before_an_answer_is_none(text: str, label: int | None) -> None:
    assert Naming(OPINIONS, Writing()).named(text) == label


def test_a_run_of_before_goes_on_counting_words_wherever_they_stand() -> None:
    by_words = Naming(OPINIONS, Writing(), "words")
    assert [by_words.named(text) for text in ("This is not good.", "<think>good</think>", "bad")] == [0, 0, 1]
    assert repr(by_words) == repr(Naming(OPINIONS, Writing())), "the same fingerprint"
    assert TokenOptions.of_earlier({"between": "auto"}, [])["reading"] == "words"


def test_a_number_among_thoughts_is_no_answer() -> None:
    said = ["<think>7 or 8</think>the answer is 7, not", "<think>is it 7", "7"]

    class Prompted:
        def continuations(self, rows: Any, limit: int, stop: str) -> list[str]:
            return said

    examples = [Example((), "7", "row")] * 3
    for reading, right in (("answer", [1, 0, 1]), ("words", [1, 1, 1])):
        answers = Writing(reading=reading).answers(Prompted(), examples, np.arange(3))  # type: ignore[arg-type]  # a text is all that is asked for
        assert answers.right.tolist() == right


def test_thoughts_that_leave_no_room_for_an_answer_are_refused(tmp_path: Path) -> None:
    with (
        serving(said=lambda messages: "<think>\nWell, it") as served,
        pytest.raises(
            ConfigError, match=r"answer_tokens: the model thinks .* more answer_tokens and an empty answer_end"
        ),
    ):
        problem(served, tmp_path).prepare(tmp_path, 1)


def test_a_word_that_a_question_does_not_offer_is_not_named() -> None:
    letters = Naming({letter: (letter,) for letter in "ABC"}, Writing())
    assert [letters.named("C", options) for options in (2, 3, None)] == [None, 2, 2]


def test_calls_and_tokens_are_counted_by_prompt_and_for_the_run(tmp_path: Path) -> None:
    with serving(said=by_length) as served:
        asking = ready(problem(served, tmp_path), tmp_path)
        assert asking.spent()["calls"] == "1", "one to see that it can be used"
        fewer = asking.space.full.copy()
        fewer[:3] = 0
        row(asking)
        row(asking, fewer)
        words = [len(call["messages"][0]["content"].split()) for call in served.calls]
    assert asking.spent() == {"calls": "13", "billed tokens": f"{sum(words):,} read, 13 written"}
    # The whole prompt was tried once before it was measured.
    assert asking.describe(asking.space.full)["calls"] == 7
    own = asking.describe(fewer)
    assert (own["calls"], own["tokens read"], own["tokens written"]) == (6, sum(words[7:]), 6)


def test_a_price_makes_cost_an_objective(tmp_path: Path) -> None:
    with serving(said=by_length) as served:
        price = Price(input=100.0, output=1000.0)
        asking = ready(problem(served, tmp_path, price=price, objectives=["accuracy", "cost"]), tmp_path)
        before = len(served.calls)
        found = row(asking)
        words = [len(call["messages"][0]["content"].split()) for call in served.calls]
    assert found[1] == pytest.approx(1000 * (100 * np.mean(words[before:]) + 1000) / 1e6)
    assert asking.spent()["spending"] == f"{(100 * sum(words) + 7 * 1000) / 1e6:.4g}"
    with pytest.raises(
        ConfigError, match="'cost' is no measure of this task, whose answers have no price; give one as"
    ):
        problem(served, tmp_path, objectives=["cost"])


def test_an_endpoint_that_does_not_say_its_tokens_is_refused_where_they_are_paid(tmp_path: Path) -> None:
    with (
        serving(counted=False) as served,
        pytest.raises(ConfigError, match=r"expected usage\.prompt_tokens in the answer, by which price"),
    ):
        problem(served, tmp_path, price=1.0).prepare(tmp_path, 1)


def config(served: Served, folder: Path, bounds: dict[str, float], **more: Any) -> dict[str, Any]:
    return {
        "problem": {
            "name": "prompt-tokens",
            "prompt": PROMPT,
            "verbalisers": VERBALISERS,
            "examples": parts(folder, 6, 6, 6),
            "endpoint": {"url": served.url, "model": "small", "api": "chat", "retries": 0},
            "references": ["random"],
            "stop_early": False,
            "at_most": bounds,
            "accept_guessing": True,
            **more,
        },
        "search": {"population": 6, "generations": 9},
        "evaluation": {"backend": "serial"},
    }


def test_a_bound_on_calls_ends_the_search_while_its_front_can_still_be_measured(tmp_path: Path) -> None:
    with serving(said=by_length) as served:
        given = config(served, tmp_path, {"calls": 250}, price={"input": 1, "output": 2.0})
        search = emoprune.search(given, runs=tmp_path / "runs", name="bounded")
        generations = list(search)
        assert len(served.calls) <= 250
    run = search.run
    assert 1 <= len(generations) < 9
    assert str(search.ended).startswith("the bound on calls ends the search: ")
    assert (run.history["status"] == "ok").all()
    assert run.pareto.loc[run.pareto["rank"] == 1, "test.accuracy"].notna().all()
    assert run.progress.spent["calls"] == str(len(served.calls))
    lines = (run.path / "problem" / "calls.jsonl").read_text().splitlines()
    assert sum(json.loads(line)[1] for line in lines) == len(served.calls)
    console = Console(width=100, record=True, file=(tmp_path / "shown.txt").open("w"))
    console.print(status_panel(run, run.progress))
    assert f"calls          {len(served.calls)}" in console.export_text()


def test_no_call_is_made_beyond_the_bound(tmp_path: Path) -> None:
    with serving(said=by_length) as served:
        asking = ready(problem(served, tmp_path, at_most={"calls": 10}), tmp_path)
        assert not hasattr(row(asking), "reason")
        refused = row(asking)
        assert "at_most: calls: the whole run may have 10; 7 are spent, and 6 more are wanted" in refused.reason
        assert len(served.calls) == 7
        with pytest.raises(BudgetSpent, match="the whole run may have 7; 7 are spent, and 1 more are wanted"):
            ready(problem(served, tmp_path, at_most={"calls": 7}, references=["accepting-in-runs"]), tmp_path)


def test_tries_that_failed_are_counted_and_stay_within_the_bound(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "calls.jsonl", {"calls": 2})
    with serving(trouble=lambda _: "503") as served:
        caller = Caller(Endpoint(served.url, "small", api="chat", retries=5), ledger)
        with pytest.raises(BudgetSpent, match="calls: the whole run may have 2; 2 are spent, and 1 more"):
            caller.answers([{"messages": []}])
    assert len(served.calls) == 2 == ledger.total().calls


def test_a_ledger_is_one_for_all_who_write_and_outlives_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path, price = tmp_path / "calls.jsonl", Price(2.0, 4.0)
    one, other = (Ledger(path, {"spending": 1.0}, price) for _ in range(2))
    one.begin(3, "search a")
    other.end(100_000, 50_000, "search a")
    assert one.total() == other.total() == one.of("search a") == Spent(3, 100_000, 50_000)
    path.write_bytes(path.read_bytes() + b'["search b", 7')
    one.begin(1, "search c")
    assert Ledger(path).total() == Spent(4, 100_000, 50_000)
    assert one.total().words(price) == {
        "calls": "4", "billed tokens": "100,000 read, 50,000 written", "spending": "0.4"
    }  # fmt: skip
    one.end(400_000, 0, "search c")
    with pytest.raises(BudgetSpent, match=r"spending: the whole run may have 1; 1\.2 are spent"):
        other.begin(1, "search d")


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"at_most": {"calls": 0}}, "at_most: calls: expected a number above 0, found 0"),
        ({"at_most": {"spending": 5}}, "spending: expected the price of a million tokens as `price`, found none"),
        ({"references": ["perplexity"]}, "an endpoint of chats does not say how surprising a prompt is"),
    ],
)
def test_what_an_endpoint_of_chats_cannot_do_is_refused(tmp_path: Path, more: dict[str, Any], complaint: str) -> None:
    with serving() as served, pytest.raises(ConfigError, match=complaint):
        problem(served, tmp_path, **more).prepare(tmp_path, 1)


def test_words_are_not_searched_where_answers_are_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="answering: words are searched by how likely they make the answers"):
        PromptVocabulary(
            endpoint=Endpoint("http://x", "small", api="chat"),
            prompt="{words} {sentence}",
            verbalisers=VERBALISERS,
            examples=parts(tmp_path),
            words=["old"],
        )


def test_a_model_here_makes_no_calls_that_could_be_bounded(model: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="calls bounds what an endpoint is asked, and a model here is asked for nothing"
    ):
        prompt_tokens(model, parts(tmp_path), at_most={"calls": 9})


def test_a_message_without_its_text_is_named(tmp_path: Path) -> None:
    with serving(trouble=lambda _: '{"choices": [{}]}') as served:
        asking = problem(served, tmp_path)
        with pytest.raises(ConfigError, match="expected choices with a message's content"):
            asking.prepare(tmp_path, 1)
