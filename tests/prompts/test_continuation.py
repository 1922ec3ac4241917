"""What stands between a prompt and its answers, and answers of several tokens or words: by a plain reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_for_tests import tokenizer
from prompts_for_tests import PROMPT, masked_pieces, parts, pieces_model, prompt_tokens

import emoprune
from emoprune.commands.export import export
from emoprune.errors import ConfigError, RunCorrupt
from emoprune.problems.language.loading import pretrained
from emoprune.problems.prompts.continuation import Continuation, kept_continuation
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.choices import Choices
from emoprune.problems.prompts.scorers.contract import Filled
from emoprune.problems.prompts.scorers.reading import LocalModel
from emoprune.problems.prompts.tasks.words import choices_after
from emoprune.problems.prompts.template import Template
from emoprune.records import Split
from emoprune.report.page import write_page

QUOTED = 'the cat sees a dog red {sentence} is "'


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model whose tokens are pieces of words, and where a space makes another token."""
    return pieces_model(tmp_path_factory.mktemp("pieces") / "model")


def likelihood(folder: Path, before: str, word: str) -> float:
    """Return the log-likelihood of a word after a text, as anybody would compute it."""
    loaded = pretrained(str(folder), "language-model")
    first, whole = (loaded.tokenizer(text)["input_ids"] for text in (before, before + word))
    with torch.inference_mode():
        logits = loaded.model(input_ids=torch.tensor([whole])).logits[0].double().log_softmax(dim=-1)
    return float(sum(logits[place - 1, whole[place]] for place in range(len(first), len(whole))))


def texts(problem: Any, split: Split = Split.SEARCH) -> list[str]:
    template = problem._task.data.template
    return [template.about(example.inputs) for example in problem._task.data.parts[split]]


def ready(problem: Any, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def test_both_continuations_are_tried_and_the_one_with_more_mass_is_taken_kept_and_exported(
    pieces: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "emoprune")
    problem = ready(prompt_tokens(pieces, parts(tmp_path, 6, 6, 6), prompt=QUOTED), tmp_path)
    expected = {
        name: np.mean([sum(np.exp(likelihood(pieces, text, f"{gap}{word}")) for word in ("red", "blue"))
                       for text in texts(problem)])
        for name, gap in (("space", " "), ("nothing", ""))
    }  # fmt: skip
    kept = json.loads((tmp_path / "continuation.json").read_text())
    assert kept["masses"] == pytest.approx(expected, rel=1e-4)
    best = max(expected, key=lambda name: expected[name])
    assert kept["between"] == best
    gap = {"space": " ", "nothing": ""}[best]
    assert problem._task.data.task.choices.words == (f"{gap}red", f"{gap}blue")
    assert f"answers follow the prompt {'after' if gap else 'without'} a space, as in '{gap}red': " in caplog.text
    said = problem.export_as(problem.space.full, tmp_path, ("json",), verify=True)
    assert said["answers_compared"] == 6
    plain = json.loads((tmp_path / "prompt.json").read_text())
    assert plain["answers"] == {"one": f"{gap}red", "two": f"{gap}blue"}
    assert (plain["between"], plain["mass_on_answers"]) == (best, pytest.approx(expected[best], rel=1e-4))


def test_a_mask_is_tried_with_a_space_before_the_answers_and_without_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "emoprune")
    folder = masked_pieces(tmp_path / "model")
    loaded = pretrained(str(folder), "masked-language-model")
    tokens = {name: [loaded.tokenizer.convert_tokens_to_ids(f"{gap}{word}") for word in ("red", "blue")]
              for name, gap in (("space", "Ġ"), ("nothing", ""))}  # fmt: skip
    for more, ways in (({}, ["space", "nothing"]), ({"between": "nothing"}, ["nothing"]), ({"between": "ending"}, [])):
        prompt = "the cat {sentence} is {mask_token} and old"
        run = tmp_path / f"run{len(ways)}"
        problem = ready(prompt_tokens(folder, parts(tmp_path, 6, 6, 6), prompt=prompt, **more), run)
        expected = dict.fromkeys(tokens, 0.0)
        for example in problem._task.data.parts[Split.SEARCH]:
            ids = loaded.tokenizer(prompt.format(sentence=example.inputs[0], mask_token="<mask>"))["input_ids"]  # noqa: S106  # no secret
            with torch.inference_mode():
                logits = loaded.model(input_ids=torch.tensor([ids])).logits[0].double().softmax(dim=-1)
            for name, own in tokens.items():
                expected[name] += float(logits[ids.index(loaded.tokenizer.mask_token_id), own].sum()) / 6
        found = problem._task.continuation
        taken = max(ways, key=lambda name: expected[name]) if ways else "space"
        assert [own[0] for own in problem._task.data.task.choices.tokens] == tokens[taken]
        if found is not None:
            assert found.masses == pytest.approx({name: expected[name] for name in ways}, rel=1e-4)
    assert "answers stand in place of the mask" in caplog.text


@pytest.mark.parametrize(("between", "word"), [("space", " red"), ("nothing", "red"), ("ending", " red")])
def test_what_stands_between_can_be_said(pieces: Path, tmp_path: Path, between: str, word: str) -> None:
    problem = ready(prompt_tokens(pieces, parts(tmp_path, 6, 6, 6), prompt=QUOTED, between=between), tmp_path)
    assert problem._task.data.task.choices.words[0] == word
    assert (tmp_path / "continuation.json").exists() == (between != "ending"), "as runs of earlier versions go on"


def test_what_was_decided_is_not_decided_again(pieces: Path, tmp_path: Path) -> None:
    for between, word in (("nothing", "red"), ("space", " red")):
        masses = {"space": 0.1, "nothing": 0.2}
        (tmp_path / "continuation.json").write_text(json.dumps({"between": between, "masses": masses}))
        problem = ready(prompt_tokens(pieces, parts(tmp_path, 6, 6, 6), prompt=QUOTED), tmp_path)
        assert problem._task.data.task.choices.words[0] == word
    (tmp_path / "continuation.json").write_text('{"between": "magic", "masses": {}}')
    with pytest.raises(RunCorrupt, match=r"continuation\.json: expected what stands before the answers"):
        kept_continuation(tmp_path / "continuation.json")


def test_little_mass_on_the_answers_is_an_alarm_in_the_run_and_in_its_report(pieces: Path, tmp_path: Path) -> None:
    config = {
        "problem": {
            "name": "prompt-tokens",
            "model": str(pieces),
            "prompt": QUOTED,
            "verbalisers": {"one": "red", "two": "blue"},
            "examples": parts(tmp_path, 6, 6, 6),
            "references": [],
            "accept_guessing": True,
        },
        "search": {"population": 4, "generations": 1},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path / "runs", name="small")
    list(search)
    (alarm,) = search.run.progress.alarms
    assert "of the probability after the whole prompt lies on the answers" in alarm
    assert (
        "of the probability after the whole prompt lies" in write_page(search.run, tmp_path / "page.html").read_text()
    )
    export(search.run, "knee")


def test_five_per_cent_is_enough() -> None:
    choices = Choices.one_each(("a", "b"))
    assert Continuation("space", {"space": 0.05}).alarm(choices) is None
    alarm = str(Continuation("space", {"space": 0.0499, "nothing": 0.0}).alarm(choices))
    assert alarm.startswith("only 4.99 % of the probability after the whole prompt lies on the answers 'a', 'b': the")


LONG = {"one": "the cat", "two": ["it likes", "blue", "green and"]}


@pytest.mark.parametrize(
    ("by", "length"),
    [("whole", lambda word: 1), ("per-token", lambda word: len(word.split())), ("per-byte", len)],
)
def test_answers_of_several_tokens_and_words_count_by_their_whole_likelihood(
    model: Path, tmp_path: Path, by: str, length: Any
) -> None:
    problem = prompt_tokens(model, parts(tmp_path, 6, 6, 6), verbalisers=LONG, likelihood=by)
    ready(problem, tmp_path)
    rows, scoring = np.arange(6), problem._task.scoring()
    found = scoring.prompted(problem._task.data.template, Split.SEARCH).choices(rows)
    expected = []
    for text in texts(problem):
        one, *two = (likelihood(model, text, f" {word}") / length(word) for word in ("the cat", *LONG["two"]))
        expected.append([one, np.logaddexp.reduce(two)])
    assert np.allclose(found, expected, atol=1e-4)
    said = problem.export_as(problem.space.full, tmp_path, ("json",), verify=True)
    assert said["answers_compared"] == 6
    answers = json.loads((tmp_path / "prompt.json").read_text())["answers"]
    assert answers == {"one": " the cat", "two": [" it likes", " blue", " green and"]}
    shown = problem.inspect().tables["verbalisers"]
    assert [(row["answer"], row["word"]) for row in shown[:2]] == [("one", "' the cat'"), ("two", "' it likes'")]


def test_several_words_of_one_token_each_are_added_and_need_the_narrow_head_alone(model: Path, tmp_path: Path) -> None:
    words = {"one": ["red", "old"], "two": "blue"}
    problem = ready(prompt_tokens(model, parts(tmp_path, 6, 6, 6), verbalisers=words), tmp_path)
    assert problem._task.data.task.choices.bare
    found = problem._task.scoring().prompted(problem._task.data.template, Split.SEARCH).choices(np.arange(6))
    own = np.array(
        [[likelihood(model, text, f" {word}") for word in ("red", "old", "blue")] for text in texts(problem)]
    )
    expected = np.stack([np.logaddexp(own[:, 0], own[:, 1]), own[:, 2]], axis=1)
    assert np.allclose(np.diff(found), np.diff(expected), atol=1e-4)


def test_an_answer_of_several_tokens_needs_room_in_the_context(model: Path, tmp_path: Path) -> None:
    scorer = CausalScorer(LocalModel(pretrained(str(model), "language-model"), "cpu", special=True))
    asked = Filled(Template.of("the {sentence}", {"sentence"}), (("cat " * 127,),))
    assert scorer.prompted(asked, Choices.one_each((" red",), (17,))).refusal(1) is None
    assert "and an answer has up to 2" in str(scorer.prompted(asked, Choices.none()).refusal(2))
    problem = prompt_tokens(model, parts(tmp_path, 6, 6, 6), verbalisers=LONG)
    assert problem._task.data.task.answer_tokens == 2


@pytest.mark.parametrize("sharing", [True, False])
def test_likelihoods_are_the_same_in_any_company(model: Path, sharing: bool) -> None:
    scorer = CausalScorer(LocalModel(pretrained(str(model), "language-model"), "cpu", special=True), sharing=sharing)
    template = Template.of(PROMPT, {"sentence"})
    asked = Filled(
        template, tuple((text,) for text in ("the cat", "a dog or a tree", "it", "red and old is the house"))
    )
    (choices,) = choices_after([["the cat"], ["it likes", "the cat sees"]], " is", tokenizer()).values()
    prompted = scorer.prompted(asked, choices)
    together = prompted.likelihoods(np.arange(4))
    alone = np.concatenate([prompted.likelihoods(np.array([row])) for row in (0, 1, 2, 3)])
    assert np.allclose(together, alone, atol=1e-5)
    assert together[2, 2] == pytest.approx(likelihood(model, template.about(["it"]), " the cat sees"), abs=1e-4)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"verbalisers": {"one": "red", "two": []}}, "verbalisers: expected one or more words for 'two', found none"),
        ({"verbalisers": {"one": ["red", "old"], "two": "old"}}, "a different word for each class, found ' old' twice"),
        ({"verbalisers": {"one": "red", "two": "not known"}}, "' not known' is not known to this model"),
        ({"task": "generation", "verbalisers": None, "match": "text", "likelihood": "per-token"},
         "likelihood: answers are written here, and have none"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_are_refused(model: Path, tmp_path: Path, more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        prompt_tokens(model, parts(tmp_path), **more)
