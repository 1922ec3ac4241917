"""A pruned prompt as files that anybody can use: its text, a chat, or JSON with all that belongs to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Failure
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.prompts.chats import Chat, chat_of, messages_of
from emoprune.problems.prompts.continuation import heaviest, masses_of
from emoprune.problems.prompts.data.messages import ROLES
from emoprune.problems.prompts.scorers.calling import EndpointFailed
from emoprune.problems.prompts.scorers.causal import CausalScorer
from emoprune.problems.prompts.scorers.contract import Filled
from emoprune.problems.prompts.scorers.ledger import BudgetSpent
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.words import choices_after
from emoprune.problems.prompts.template import MASK, USER, Template
from emoprune.problems.storage.kept import write_json
from emoprune.records import Split

__all__ = ["FORMATS", "MESSAGE_FORMATS", "export_prompt", "words_of"]

FORMATS = ("text", "json", "chat")
MESSAGE_FORMATS = ("chat", "json")  # of a prompt of two messages, which is no one text
TO_FILL_IN = (
    "Put each input, all at once, where its placeholder stands as written_as has it. In a text of which "
    "braces_doubled is true, two braces stand for one, and Python's text.format(**inputs) does it all; elsewhere "
    "braces are what they are."
)
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
        (folder / "prompt.txt").write_text(template.source + "\n", encoding="utf-8")
        written["text"] = "prompt.txt"
    if "json" in formats:
        write_json(folder / "prompt.json", _as_json(task, template, facts), ensure_ascii=False)
        written["json"] = "prompt.json"
    if "chat" in formats:
        chat = _chat(task, template)
        write_json(folder / "chat.json", _messages_as_json(template, chat), ensure_ascii=False)
        written |= {"chat": "chat.json", **({} if chat is None else _as_chat(task, template, chat))}
    if verify:
        written |= _verified(task, template, folder, formats)
    return written


def words_of(template: Template) -> dict[str, str]:
    """Return a prompt as a person reads it, message by message if it has two."""
    system, user = template.parts
    return {"prompt": user.text} if system is None else {"system": system.text, "user": user.text}


def _chat(task: PromptTask, template: Template) -> Chat | None:
    """Return what stands around a prompt as a chat; None where only the endpoint knows."""
    if task.options.chatting:
        return None
    roles = ROLES if USER in template.slots else ROLES[1:]
    return task.chat if task.options.as_chat else chat_of(task.tokenizer, roles)


def _messages_as_json(template: Template, chat: Chat | None) -> dict[str, object]:
    """Return a prompt's messages, and as the model's chat template renders them where that is known."""
    rendered = None if chat is None else chat.put(template)
    texts = {**_by_role(template), **({} if rendered is None else {"rendered": rendered})}
    plain = {"messages": messages_of(template), "rendered": None if rendered is None else rendered.source}
    return {**plain, **_filling(template, texts)}


def _by_role(template: Template) -> dict[str, Template]:
    return {role: part for role, part in zip(ROLES, template.parts, strict=True) if part is not None}


def _filling(template: Template, texts: Mapping[str, Template]) -> dict[str, object]:
    """Say how texts that are written of a prompt, by what they are called, are filled in: the file alone is enough."""
    names = [*template.inputs, *([MASK] if template.masked else [])]
    return {
        "written_as": {name: template.marker.around(name) for name in names},
        "braces_doubled": {name: text.doubled for name, text in texts.items()},
        "to_fill_in": TO_FILL_IN,
    }


def _as_json(task: PromptTask, template: Template, facts: Words) -> dict[str, object]:
    system, _ = template.parts
    own = {"prompt": template.source} if system is None else {"messages": messages_of(template)}
    continuation = task.continuation
    follow = {} if continuation is None else {"mass_on_answers": continuation.mass, "between": continuation.between}
    return {
        **own,
        "placeholders": list(template.inputs),
        **_filling(template, {"prompt": template} if system is None else _by_role(template)),
        "before": task.chat.before,
        "after": task.chat.after,
        "answers": _answers(task),
        **follow,
        "model": task.model.name if task.options.endpoint is None else task.options.endpoint.model,
        **facts,
    }


def _answers(task: PromptTask) -> dict[str, str | list[str]]:
    """Return what each answer is called: as it follows the prompt where answers are chosen, a list of several words."""
    own = task.data.task
    words = {label: list(given) for label, given in task.data.words.items()}
    if isinstance(own, Choosing):
        words = {label: own.choices.listed(place) for place, label in enumerate(own.labels)}
    return {label: given[0] if len(given) == 1 else given for label, given in words.items()}


def _as_chat(task: PromptTask, template: Template, chat: Chat) -> Words:
    """Say what the prompt is worth as a chat on the test part, if it was not searched as one."""
    if task.options.as_chat or not isinstance(task.data.task, Choosing):
        return {}
    try:
        ways = choices_after(list(task.data.words.values()), chat.after, task.tokenizer, by=task.data.task.choices.by)
        scoring = replace(task.scoring(), chat=chat)
        rows = np.arange(len(task.data.parts[Split.SEARCH]))
        masses = masses_of(ways, lambda words: scoring.prompted(template, Split.SEARCH, words).likelihoods(rows))
        choosing = Choosing(task.data.task.labels, ways[heaviest(masses)])
        scored = replace(scoring, task=choosing).scored(template, Split.TEST)
    except (ConfigError, EndpointFailed, BudgetSpent) as error:
        return {"as_a_chat": f"not measured: {error}"}  # what is exported is whole without it
    if isinstance(scored, Failure):
        return {"as_a_chat": scored.reason}
    return {"test_accuracy_as_a_chat": scored.values["accuracy"]}


def _verified(task: PromptTask, template: Template, folder: Path, formats: Sequence[str]) -> Words:
    """Read the prompt again, fill it in without any of our code, and compare answers.

    Raises:
        ContractError: They differ.
    """
    expected = [message["content"] for message in messages_of(template)]
    texts: dict[str, list[str]] = {}
    if "text" in formats:
        texts["prompt.txt"] = [(folder / "prompt.txt").read_text(encoding="utf-8").removesuffix("\n")]
    if "json" in formats:
        plain = _read(folder / "prompt.json")
        texts["prompt.json"] = [plain["prompt"]] if "prompt" in plain else _contents(plain["messages"])
    if "chat" in formats:
        texts["chat.json"] = _contents(_read(folder / "chat.json")["messages"])
    for name, found in texts.items():
        parts = [part for part in template.parts if part is not None]
        read = [Template.written(text, template.inputs, template.marker) for text in found]
        if found != expected or [part.texts for part in read] != [part.texts for part in parts]:
            raise ContractError(f"{name}: expected the prompt {expected[-1][:60]!r}, found {found[-1][:60]!r}")
    compared = _answered_alike(task, template)
    return {"files": ", ".join(texts), **({"answers_compared": compared} if compared else {})}


def _contents(messages: Any) -> list[str]:
    return [str(message["content"]) for message in messages]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _answered_alike(task: PromptTask, template: Template) -> int:
    """Compare answers with those of one plain padded batch over all of the vocabulary; return how many, 0 for none."""
    scorer = task.model.scorer
    if not isinstance(scorer, CausalScorer) or not isinstance(task.data.task, Choosing):
        return 0
    examples = task.data.parts[Split.TEST][:TRIED]
    texts = [_filled_by_hand(task, template, example.inputs) for example in examples]
    choices = task.data.task.choices
    inputs = tuple(example.inputs for example in examples)
    filled = Filled(task.chat.put(template), inputs)
    measured = scorer.prompted(filled, choices).choices(np.arange(len(examples)))
    starts = range(0, len(texts), 8)
    expected = np.concatenate([scorer.worth(texts[start : start + 8], choices) for start in starts])
    settled = np.ptp(np.sort(measured, axis=1)[:, -2:], axis=1) > 1e-3  # a tie may fall either way
    different = int(((measured.argmax(axis=1) != expected.argmax(axis=1)) & settled).sum())
    if different:
        raise ContractError(
            f"export: {different} of {len(examples)} test examples are answered otherwise by a plain run"
        )
    return len(examples)


def _filled_by_hand(task: PromptTask, template: Template, inputs: Sequence[str]) -> str:
    """Return the exported messages with their placeholders filled in, put through the model's chat template if any."""
    messages = messages_of(template)
    words = dict(zip(template.inputs, inputs, strict=True))
    for message in messages:
        message["content"] = _filled(message["content"], template, words)
    if not task.options.as_chat or task.tokenizer is None:
        return messages[0]["content"]
    text: str = task.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


def _filled(text: str, template: Template, words: dict[str, str]) -> str:
    """Fill a text in all at once, as an input may itself hold what reads as a placeholder."""
    if template.marker.escapes and "{{" in text:
        return text.format(**words)
    named = {template.marker.around(name): word for name, word in words.items()}
    return re.sub("|".join(map(re.escape, named)), lambda found: named[found[0]], text)
