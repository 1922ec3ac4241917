"""A pruned prompt as files that anybody can use: its text, a chat, or JSON with all that belongs to it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Failure
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.scorers.calling import EndpointFailed
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Filled
from emoprune.problems.prompts.task import PromptTask, chat_around
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.words import choices_after
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept import write_json
from emoprune.records import Split

__all__ = ["FORMATS", "export_prompt"]

FORMATS = ("text", "json", "chat")
TRIED = 64  # test examples that are answered once more from what was written

Words = dict[str, str | int | float]


def export_prompt(
    task: PromptTask, template: Template, folder: Path, formats: Sequence[str], *, verify: bool, facts: Words
) -> Words:
    """Write a prompt, and return what was verified.

    Args:
        task: Model, examples and what is measured.
        template: The prompt.
        folder: Where to.
        formats: Some of `FORMATS`.
        verify: Whether what was written is read again, filled in by hand and answered anew.
        facts: What to say about the prompt in JSON besides, such as how long the whole one was.

    Raises:
        ConfigError: The model has no chat template.
        ContractError: What was written is another prompt, or is answered otherwise.
    """
    written: Words = {}
    if "text" in formats:
        (folder / "prompt.txt").write_text(template.text + "\n", encoding="utf-8")
        written["text"] = "prompt.txt"
    if "json" in formats:
        write_json(folder / "prompt.json", _as_json(task, template, facts), ensure_ascii=False)
        written["json"] = "prompt.json"
    if "chat" in formats:
        around = task.around if task.options.chat else chat_around(task.tokenizer)
        message = {"role": "user", "content": template.text}
        plain = {"messages": [message], "rendered": template.between(*around).text}
        write_json(folder / "chat.json", plain, ensure_ascii=False)
        written |= {"chat": "chat.json", **_as_chat(task, template, around)}
    if verify:
        written |= _verified(task, template, folder, formats)
    return written


def _as_json(task: PromptTask, template: Template, facts: Words) -> dict[str, object]:
    before, after = task.around
    return {
        "prompt": template.text,
        "placeholders": list(template.inputs),
        "before": before,
        "after": after,
        "answers": dict(zip(task.data.words, task.data.task.choices.words, strict=True)),
        "model": task.model_name if task.options.endpoint is None else task.options.endpoint.model,
        **facts,
    }


def _as_chat(task: PromptTask, template: Template, around: tuple[str, str]) -> Words:
    """Say what the prompt is worth as a chat on the test part, if it was not searched as one."""
    if task.options.chat or not isinstance(task.data.task, Choosing):
        return {}
    words = list(task.data.words.values())
    try:
        choices = choices_after(words, around[1], task.tokenizer)
    except ConfigError as error:  # a chat ends in a line end, after which a word may be several tokens
        return {"as_a_chat": f"not measured: {error}"}
    choosing = Choosing(task.data.task.labels, choices)
    try:
        scored = replace(task.scoring(), task=choosing, around=around).scored(template, Split.TEST)
    except EndpointFailed as error:
        return {"as_a_chat": f"not measured: {error}"}  # what is exported is whole without it
    if isinstance(scored, Failure):
        return {"as_a_chat": scored.reason}
    return {"test_accuracy_as_a_chat": scored.values["accuracy"]}


def _verified(task: PromptTask, template: Template, folder: Path, formats: Sequence[str]) -> Words:
    """Read the prompt again, fill it in without any of our code, and compare answers.

    Raises:
        ContractError: They differ.
    """
    texts: dict[str, str] = {}
    if "text" in formats:
        texts["prompt.txt"] = (folder / "prompt.txt").read_text(encoding="utf-8").removesuffix("\n")
    if "json" in formats:
        texts["prompt.json"] = _read(folder / "prompt.json")["prompt"]
    if "chat" in formats:
        texts["chat.json"] = _read(folder / "chat.json")["messages"][0]["content"]
    for name, text in texts.items():
        if text != template.text or Template.of(text, template.inputs) != template:
            raise ContractError(f"{name}: expected the prompt {template.text[:60]!r}, found {text[:60]!r}")
    compared = _answered_alike(task, template)
    return {"files": ", ".join(texts), **({"answers_compared": compared} if compared else {})}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _answered_alike(task: PromptTask, template: Template) -> int:
    """Compare answers with those of one plain padded batch over all of the vocabulary; return how many, 0 for none."""
    scorer = task.scorer
    if not isinstance(scorer, CausalScorer) or not isinstance(task.data.task, Choosing):
        return 0
    examples = task.data.parts[Split.TEST][:TRIED]
    before, after = task.around
    texts = [_filled_by_hand(before + template.text + after, template, example.inputs) for example in examples]
    choices = task.data.task.choices
    inputs = tuple(example.inputs for example in examples)
    filled = Filled(template.between(before, after), inputs)
    measured = scorer.prompted(filled, choices).choices(np.arange(len(examples)))
    plain = np.concatenate([scorer.plain(texts[start : start + 8]) for start in range(0, len(texts), 8)])
    expected = plain[:, list(choices.tokens)]
    settled = np.ptp(np.sort(measured, axis=1)[:, -2:], axis=1) > 1e-3  # a tie may fall either way
    different = int(((measured.argmax(axis=1) != expected.argmax(axis=1)) & settled).sum())
    if different:
        raise ContractError(
            f"export: {different} of {len(examples)} test examples are answered otherwise by a plain run"
        )
    return len(examples)


def _filled_by_hand(text: str, template: Template, inputs: Sequence[str]) -> str:
    """Return the text with its placeholders filled in all at once: an input may itself hold what reads as one."""
    words = dict(zip(template.inputs, inputs, strict=True))
    return re.sub("|".join(rf"\{{{name}\}}" for name in words), lambda found: words[found[0][1:-1]], text)
