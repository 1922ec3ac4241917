"""A prompt of a system message and a user's message: each pruned or kept, through the model's chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from language_for_tests import llama, saved, tokenizer
from prompts_for_tests import parts, prompt_tokens

import emoprune
from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.messages import Messages
from emoprune.records import Split

TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'system' %}they {{ m['content'] }} or{% else %}"
    " it {{ m['content'] }} and{% endif %}{% endfor %}{% if add_generation_prompt %} was{% endif %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}x"
ASKED = Messages("the cat sees a dog", "the house {sentence} is")


def chatting(folder: Path, template: str) -> Path:
    """Write a small Llama whose tokenizer has a chat template."""
    words = tokenizer()
    words.chat_template = template
    saved(folder, llama(), with_tokenizer=False)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chatting(tmp_path_factory.mktemp("chat") / "model", TEMPLATE)


def ready(problem: Any, folder: Path) -> Any:
    folder.mkdir(exist_ok=True)
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def row(problem: Any, genome: Any) -> Any:
    return problem.evaluate(np.array(genome)[None], np.zeros(1, dtype=np.uint64), Split.SEARCH)[0]


@pytest.mark.parametrize(
    ("keep", "free"),
    [
        ([], "the cat sees a dog the house is"),
        (["system"], "the house is"),
        (["user"], "the cat sees a dog"),
    ],
)
def test_each_message_is_pruned_or_kept(chat: Path, tmp_path: Path, keep: list[str], free: str) -> None:
    asked = Messages(ASKED.system, ASKED.user, keep)
    problem = prompt_tokens(chat, parts(tmp_path), prompt=asked)
    names = [gene.name.partition(" ")[2] for gene in problem.space.genes if gene.locked is None]
    assert " ".join(names) == free
    assert problem.describe(problem.space.full) == {"tokens": 8, "system": ASKED.system, "user": ASKED.user}


def test_what_is_measured_is_what_the_rendered_text_is_worth(chat: Path, tmp_path: Path) -> None:
    examples = parts(tmp_path)
    problem = ready(prompt_tokens(chat, examples, prompt=ASKED), tmp_path)
    rendered = f"they {ASKED.system} or it {ASKED.user} and was"
    plain = ready(prompt_tokens(chat, examples, prompt=rendered, between="space"), tmp_path / "plain")
    assert row(problem, problem.space.full)[0] == row(plain, plain.space.full)[0]
    genome = problem.space.full.copy()
    genome[[0, 3, 6]] = 0
    left = problem.describe(genome)
    assert left == {"tokens": 5, "system": " cat sees dog", "user": " house {sentence} is"}
    assert problem.marked(genome)[5].text == "\n[user]\n"


def test_messages_are_exported_as_a_chat_that_the_tokenizer_renders_the_same(chat: Path, tmp_path: Path) -> None:
    problem = ready(prompt_tokens(chat, parts(tmp_path), prompt=ASKED), tmp_path)
    genome = problem.space.full.copy()
    genome[[1, 6]] = 0
    folder = tmp_path / "export"
    folder.mkdir()
    said = problem.export_as(genome, folder, problem.formats, verify=True)
    assert problem.formats == ("chat", "json")
    assert (said["files"], said["answers_compared"]) == ("prompt.json, chat.json", 10)
    plain = json.loads((folder / "chat.json").read_text())
    assert plain["messages"] == [
        {"role": "system", "content": "the sees a dog"},
        {"role": "user", "content": " house {sentence} is"},
    ]
    rendered = problem._task.tokenizer.apply_chat_template(
        plain["messages"], tokenize=False, add_generation_prompt=True
    )
    assert rendered == plain["rendered"]
    assert json.loads((folder / "prompt.json").read_text())["messages"] == plain["messages"]


@pytest.mark.parametrize("template", [TEMPLATE, TEMPLATE.replace("m['content']", "m['content'] | trim")])
def test_what_a_template_cuts_off_around_a_message_is_cut_off(tmp_path: Path, template: str) -> None:
    folder = chatting(tmp_path / "model", template)
    for asked in (ASKED, "the house {sentence} is"):
        problem = prompt_tokens(folder, parts(tmp_path), prompt=asked, chat=True)
        genome = problem.space.full.copy()
        genome[[0, -1]] = 0
        left = problem._template(genome)
        words = problem._task.tokenizer
        messages = [{"role": "system", "content": " cat sees a dog"}] if asked is ASKED else []
        user = ("the" if asked is ASKED else "") + " house it"
        rendered = words.apply_chat_template(
            [*messages, {"role": "user", "content": user}], tokenize=False, add_generation_prompt=True
        )
        assert problem._task.chat.put(left).about(["it"]) == rendered


def test_messages_are_searched_from_a_config(chat: Path, tmp_path: Path) -> None:
    config = {
        "problem": {
            "name": "prompt-tokens",
            "model": str(chat),
            "prompt": {"system": "the cat sees.\nit likes a dog", "user": "the {sentence} is", "keep": ["user"]},
            "verbalisers": {"one": "red", "two": "blue"},
            "examples": parts(tmp_path, 6, 6, 6),
            "references": ["perplexity", "random"],
            "unit": "word",
            "accept_guessing": True,
        },
        "search": {"population": 5, "generations": 2},
        "evaluation": {"backend": "serial"},
    }
    search = emoprune.search(config, runs=tmp_path / "runs", name="chat")
    list(search)
    assert (search.run.history["status"] == "ok").all()
    assert all(words["user"] == "the {sentence} is" for words in search.run.descriptions.values())


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"system": " ", "user": "{sentence}"}, "prompt: system: expected a text, found none"),
        ({"system": "the cat", "user": "a dog"}, "expected a placeholder such as"),
        ({"system": "the cat", "user": "{sentence}", "keep": ["assistant"]}, "keep: expected some of system, user"),
        ({"system": "{x}", "user": "{sentence}"}, r"nothing for the placeholder \{x\}"),
        ({"system": "the cat", "user": "{sentence} {mask_token}"}, r"\{mask_token\} has no place in messages"),
    ],
)
def test_messages_that_cannot_be_are_refused(chat: Path, tmp_path: Path, more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        prompt_tokens(chat, parts(tmp_path), prompt=Messages(**more))


def test_a_chat_template_that_takes_no_system_message_is_named(tmp_path: Path) -> None:
    folder = chatting(tmp_path / "model", NO_SYSTEM)
    with pytest.raises(ConfigError, match="takes no system and user message: no system role; give one prompt"):
        prompt_tokens(folder, parts(tmp_path), prompt=ASKED)
