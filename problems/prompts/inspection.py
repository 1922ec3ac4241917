"""The pre-flight: what the prompt is made of, what it is tried on, and what a person should know beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from emoprune.contracts import Cell, Inspection, Table
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.naming import LOST, Naming
from emoprune.records import Split

__all__ = ["inspection_of_prompt"]


def inspection_of_prompt(
    task: PromptTask, summary: Mapping[str, str | int | float | bool], tables: Mapping[str, Table], notes: Sequence[str]
) -> Inspection:
    """Return what is common to all problems of this domain, with a problem's own summary, tables and notes.

    Raises:
        ConfigError: A text is longer than the model reads.
    """
    task.check_lengths()
    data, endpoint = task.data, task.options.endpoint
    model = task.model.name if endpoint is None else f"{endpoint.model} at {endpoint.url}"
    facts: dict[str, str | int | float | bool] = {"model": model, "tokens": task.length(data.template)}
    facts |= {
        "placeholders": ", ".join(data.template.inputs),
        "put as a chat": task.options.as_chat or task.options.chatting,
        **summary,
    }
    parts = [_part(task, split) for split in Split]
    notes = [*notes, *([LOST] if isinstance(data.task, Naming) else [])]
    if len(data.alternatives) > 1:
        notes.append(
            "Answers may follow the prompt with a space or without; a run asks the model with which more of the "
            "probability lies on them, says it, and takes that one."
        )
    shown = {**tables, "examples": parts, "verbalisers": _answers(task)}
    return Inspection(facts, {title: rows for title, rows in shown.items() if rows}, [*data.notes, *notes])


def _answers(task: PromptTask) -> list[dict[str, Cell]]:
    """Return the words that answers are called by, in each way in which they may follow the prompt."""
    own = task.data.task
    if isinstance(own, Naming):
        return [{"answer": label, "word": ", ".join(map(repr, words))} for label, words in own.words.items()]
    if not isinstance(own, Choosing):
        return []
    several = len(task.data.alternatives) > 1
    return [
        {
            **({"between": between} if several else {}),
            "answer": own.labels[place],
            "word": repr(word),
            "token": _of(ids),
        }
        for between, choices in task.data.alternatives.items()
        for place, word, ids in zip(choices.answers, choices.words, choices.tokens, strict=True)
    ]


def _of(tokens: Sequence[int]) -> Cell:
    """Return one token as a number, and several as a text."""
    return (tokens[0] if len(tokens) == 1 else " ".join(map(str, tokens))) if tokens else None


def _part(task: PromptTask, split: Split) -> dict[str, Cell]:
    examples = task.data.parts[split]
    row: dict[str, Cell] = {"part": split.value, "examples": len(examples)}
    if isinstance(task.data.task, Choosing | Naming):
        counts = Counter(example.answer for example in examples)
        row |= {label: counts[label] for label in task.data.task.labels}
        row["most frequent"] = max(counts.values()) / len(examples)
    return row
