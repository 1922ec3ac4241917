"""What a config's prompt and examples come to: a template, three parts that share nothing, a task to judge by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emoprune.errors import ConfigError
from emoprune.problems.prompts.data.examples import Example, Parts
from emoprune.problems.prompts.data.few_shot import FewShot, prompt_text
from emoprune.problems.prompts.data.messages import Messages
from emoprune.problems.prompts.data.reading import Tables, examples_of, tables_named
from emoprune.problems.prompts.data.splitting import Sizes, cut, kept_apart
from emoprune.problems.prompts.marker import BRACES, Marker
from emoprune.problems.prompts.scorers.choices import Choices, Likelihood
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.contract import Task
from emoprune.problems.prompts.tasks.naming import Naming
from emoprune.problems.prompts.tasks.words import LETTERS, Between, choices_after
from emoprune.problems.prompts.tasks.writing import Writing
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["Asked", "PromptData", "TaskName", "Verbalisers", "prompt_data_of"]

TaskName = Literal["classification", "multiple-choice", "generation"]
Verbalisers = Mapping[str, str | Sequence[str]]

_OPTION = re.compile(r"(option|choice)_?\d+")


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What the options say about prompt, examples and answers."""

    prompt: str | FewShot | Messages
    examples: str | Mapping[str, str] = "film-reviews"
    task: TaskName = "classification"
    answer: str | None = None
    verbalisers: Verbalisers | None = None
    writing: Writing = field(default_factory=Writing)
    sizes: Sizes = field(default_factory=Sizes)
    marker: Marker = BRACES
    between: Between = "auto"
    by: Likelihood = "whole"
    named: bool = False  # whether words are written, and not chosen


@dataclass(frozen=True, slots=True, eq=False)
class PromptData:
    """A prompt, the examples it is put to, how answers are judged, and what a person should know, a sentence each.

    `words` are what answers are called, by label; none if they are written freely. `alternatives` are the ways in which
    answers that are chosen may follow the prompt, of which the task has the first. `blocks` are the texts that the
    prompt is joined of, if it was made of examples.
    """

    template: Template
    parts: Parts
    task: Task
    words: Mapping[str, tuple[str, ...]]
    notes: Sequence[str]
    alternatives: Mapping[str, Choices] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()

    def following(self, between: str) -> PromptData:
        """Return the same with the answers following the prompt in one of the alternatives' ways."""
        if not isinstance(self.task, Choosing):
            return self
        return replace(self, task=Choosing(self.task.labels, self.alternatives[between]))


def prompt_data_of(asked: Asked, tokenizer: Any | None, after: str = "", special: Sequence[str] = ()) -> PromptData:
    """Read and check everything that a prompt is tried on.

    Args:
        asked: The options.
        tokenizer: The model's; None where it is not at hand.
        after: What stands behind the prompt if it is put as a chat.
        special: Placeholders that no example fills.

    Raises:
        ConfigError: Something of it cannot be used.
    """
    tables = tables_named(asked.examples, asked.answer)
    words = _words(asked, tables)
    known = {*tables.known, *special}
    template, shown, blocks = _prompt(asked, tables, words, known)
    template.check(known)
    parts, notes = kept_apart(_parts(asked, tables, template, shown, special), template.text, asked.sizes)
    if template.alike is not None:
        notes.append(
            f"An example that the prompt shows holds {template.shown(template.alike)}, as a placeholder is written, so "
            "nothing that keeps it can be exported; call the placeholder otherwise, as sentence_1 for sentence."
        )
    alternatives = _alternatives(asked, template, words, tokenizer, after)
    task = _task(asked, template, words, alternatives)
    for split, examples in parts.items():
        task.check_answers(examples, split.value)
    for split, examples in parts.items():
        notes += task.check_variety(examples, split.value)
    return PromptData(template, parts, task, words, notes, alternatives, blocks)


def _words(asked: Asked, tables: Tables) -> dict[str, tuple[str, ...]]:
    """Return what each answer is called in the prompt, in the order of the classes."""
    if asked.task == "generation":
        if asked.verbalisers is not None:
            raise ConfigError("verbalisers: answers are written freely in a generation task; leave them out")
        return {}
    if asked.verbalisers is not None:
        if len(asked.verbalisers) < 2:
            raise ConfigError(
                f"verbalisers: expected a word for each of two or more answers, found {len(asked.verbalisers)}"
            )
        given = {
            label.strip(): (own,) if isinstance(own, str) else tuple(own) for label, own in asked.verbalisers.items()
        }
        none = next((label for label, own in given.items() if not own), None)
        if none is not None:
            raise ConfigError(f"verbalisers: expected one or more words for {none!r}, found none")
        return given
    if asked.task == "multiple-choice":
        return {letter: (letter,) for letter in LETTERS[: max(2, len(_options(tables)))]}
    found = sorted({row[tables.answer].strip() for part in tables.parts.values() for row in part.as_mappings()})
    listed = ", ".join(map(repr, found[:6]))
    raise ConfigError(
        f"verbalisers: expected a word for each answer of the examples ({listed}), found none; for instance "
        f"{{{found[0]!r}: terrible, {found[-1]!r}: great}}"
    )


def _options(tables: Tables) -> list[str]:
    return [name for name in tables.inputs if _OPTION.fullmatch(name)]


def _prompt(
    asked: Asked, tables: Tables, words: Mapping[str, Sequence[str]], known: Collection[str]
) -> tuple[Template, set[bytes], tuple[str, ...]]:
    """Return the prompt, the digests of the examples that it shows, and what it was joined of."""
    if isinstance(asked.prompt, Messages):
        return asked.prompt.template(known, asked.marker), set(), ()
    if not isinstance(asked.prompt, FewShot):
        return Template.written(prompt_text(asked.prompt), known, asked.marker), set(), ()
    shots = asked.prompt
    columns = _columns(tables, shots.query(known, asked.marker))
    options = _options(tables) if asked.task == "multiple-choice" else []
    pool = _answered(asked, examples_of(tables.parts[Split.SEARCH], tables.answer, columns, options))
    answers: list[str | None] = [*words] or [None]
    chosen = shots.demonstrations(pool, answers)
    written = {label: own[0] for label, own in words.items()}
    blocks = shots.blocks(chosen, written, known, asked.marker)
    shown = tuple(f"{block.text}{shots.separator}" for block in blocks[:-1])
    return Template.joined(blocks, shots.separator), {example.digest for example in chosen}, shown


def _columns(tables: Tables, template: Template, special: Sequence[str] = ()) -> list[str]:
    return [tables.known[slot] for slot in template.inputs if slot in tables.known and slot not in special]


def _parts(
    asked: Asked, tables: Tables, template: Template, shown: set[bytes], special: Sequence[str]
) -> Mapping[Split, Sequence[Example]]:
    columns = _columns(tables, template, special)
    if not columns:
        usual = asked.marker.around(tables.inputs[0])
        raise ConfigError(
            f"prompt: expected a placeholder for the input, such as {usual}, found none in "
            f"{template.text[:80]!r}; put one where the input belongs"
        )
    options = _options(tables) if asked.task == "multiple-choice" else []
    read = {
        split: [
            example
            for example in _answered(asked, examples_of(table, tables.answer, columns, options))
            if example.digest not in shown
        ]
        for split, table in tables.parts.items()
    }
    return cut(read[Split.SEARCH], asked.sizes) if tables.single else read


def _answered(asked: Asked, examples: Sequence[Example]) -> list[Example]:
    """Return the examples with their answers as the task calls them: letters in a multiple choice."""
    if asked.task != "multiple-choice" or asked.verbalisers is not None:
        return list(examples)
    return [_lettered(example) for example in examples]


def _lettered(example: Example) -> Example:
    """Return an example whose answer is a letter; a number counts from 0."""
    answer = example.answer
    if len(answer) == 1 and answer.upper() in LETTERS:
        letter = answer.upper()
    elif answer.isdigit() and int(answer) < len(LETTERS):
        letter = LETTERS[int(answer)]
    else:
        raise ConfigError(
            f"examples: {example.place}: expected the answer as a letter or as a number from 0, found {answer!r}"
        )
    if example.options is not None and LETTERS.index(letter) >= example.options:
        raise ConfigError(
            f"examples: {example.place}: the answer is {answer!r}, and there are only {example.options} options"
        )
    return Example(example.inputs, letter, example.place, example.options)


def _alternatives(
    asked: Asked, template: Template, words: Mapping[str, Sequence[str]], tokenizer: Any | None, after: str
) -> dict[str, Choices]:
    """Return how answers that are chosen may follow the prompt; nothing where they are written."""
    if asked.task == "generation" or asked.named:
        return {}
    ending, own = template.texts[-1] + after, list(words.values())
    return choices_after(own, ending, tokenizer, between=asked.between, masked=template.masked, by=asked.by)


def _task(
    asked: Asked, template: Template, words: Mapping[str, Sequence[str]], alternatives: Mapping[str, Choices]
) -> Task:
    if template.masked and (asked.task == "generation" or asked.named):
        what = "a generation task" if asked.task == "generation" else "an answer that is written"
        raise ConfigError(f"prompt: {what} cannot be answered in place of {{mask_token}}; leave it out")
    if asked.task == "generation":
        return asked.writing
    if asked.named:
        named = {label: tuple(own) for label, own in words.items()}
        return Naming(named, asked.writing, asked.writing.reading)
    return Choosing(tuple(words), next(iter(alternatives.values())))
