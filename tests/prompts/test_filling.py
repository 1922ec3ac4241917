"""What is exported says itself how it is filled in: read and formatted by Python alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prompts_for_tests import causal_folder, masked_pieces, parts, prompt_tokens

from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split

CODE = "the {{cat}} sees {{{{a}} }} {sentence} is"
JSON = 'the {"cat": {"text": "{sentence}"}} is'


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with a chat template that has braces of its own."""
    folder = causal_folder(tmp_path_factory.mktemp("chatting"))
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ '{{' + m['role'] + '}} ' + m['content'] + ' ' }}{% endfor %}is"
    )
    return folder


def filled(text: str, name: str, plain: dict[str, Any], inputs: dict[str, str]) -> str:
    """Fill a text in as its file says, with nothing but the file."""
    if plain["braces_doubled"][name]:
        return text.format(**inputs)
    written = {plain["written_as"][name]: value for name, value in inputs.items()}
    return re.sub("|".join(map(re.escape, written)), lambda found: written[found[0]], text)


def exported(problem: PromptTokens, folder: Path, *formats: str) -> dict[str, Any]:
    """Return what each of the formats' files holds."""
    folder.mkdir()
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    problem.export_as(problem.space.full, folder, formats, verify=True)
    return {path.stem: json.loads(path.read_text()) for path in folder.iterdir() if path.stem in {"prompt", "chat"}}


@pytest.mark.parametrize(
    ("prompt", "more", "doubled"),
    [
        ("the cat {sentence} is", {}, False),
        (CODE, {}, True),
        (JSON, {}, False),
        ("the {cat} }} sees <<sentence>> is", {"placeholder": "<<{}>>"}, False),
    ],
)
def test_a_prompt_is_filled_in_by_its_file_alone(
    model: Path, tmp_path: Path, prompt: str, more: dict[str, Any], doubled: bool
) -> None:
    problem = prompt_tokens(model, parts(tmp_path), prompt=prompt, **more)
    plain = exported(problem, tmp_path / "run", "json")["prompt"]
    assert plain["braces_doubled"] == {"prompt": doubled}
    for text in ("it {sees}", "<<sentence>> a {{b}}"):
        found = filled(plain["prompt"], "prompt", plain, {"sentence": text})
        assert found == problem._task.data.template.about([text])


def test_a_masked_prompt_names_the_place_of_its_mask(tmp_path: Path) -> None:
    prompt = "the {{cat}} {{sees}} {sentence} is {mask_token} and old"
    problem = prompt_tokens(masked_pieces(tmp_path / "model"), parts(tmp_path), prompt=prompt)
    plain = exported(problem, tmp_path / "run", "json")["prompt"]
    found = filled(plain["prompt"], "prompt", plain, {"sentence": "it", "mask_token": "[MASK]"})
    assert found == problem._task.data.template.about(["it"], "[MASK]")


@pytest.mark.parametrize("system", ["the {{cat}} sees", "the } cat"])
@pytest.mark.parametrize("user", ["a dog {sentence} is", "a {{{{dog}} {sentence} is"])
def test_messages_and_the_rendered_chat_are_filled_in_by_their_files_alone(
    chatting: Path, tmp_path: Path, system: str, user: str
) -> None:
    problem = prompt_tokens(chatting, parts(tmp_path), prompt=Messages(system, user))
    found = exported(problem, tmp_path / "run", "json", "chat")
    template, text = problem._task.data.template, "it {sees} a"
    expected = dict(zip(("system", "user"), template.parts, strict=True))
    for plain in found.values():
        for message in plain["messages"]:
            own = expected[message["role"]]
            said = filled(message["content"], message["role"], plain, {"sentence": text})
            assert said == own.about([text] if own.inputs else [])
    rendered = filled(found["chat"]["rendered"], "rendered", found["chat"], {"sentence": text})
    assert rendered == problem._task.chat.put(template).about([text])
    messages = [{"role": role, "content": part.about([text] if part.inputs else [])} for role, part in expected.items()]
    assert rendered == problem._task.tokenizer.apply_chat_template(messages, tokenize=False)
    assert len(problem._task.data.parts[Split.TEST]) == 10
