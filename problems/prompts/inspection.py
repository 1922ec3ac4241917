"""The pre-flight: what the prompt is made of, what it is tried on, and what a person should know beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from emoprune.contracts import Cell, Inspection, Table
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
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
    model = task.model_name if endpoint is None else f"{endpoint.model} at {endpoint.url}"
    facts: dict[str, str | int | float | bool] = {"model": model, "tokens": task.length(data.template)}
    facts |= {"placeholders": ", ".join(data.template.inputs), "put as a chat": task.options.chat, **summary}
    parts = [_part(task, split) for split in Split]
    answers: list[dict[str, Cell]] = []
    if isinstance(data.task, Choosing):
        words = zip(data.task.labels, data.task.choices.words, data.task.choices.tokens, strict=True)
        answers = [
            {"answer": label, "word": repr(word), "token": None if token < 0 else token} for label, word, token in words
        ]
    shown = {**tables, "examples": parts, "verbalisers": answers}
    return Inspection(facts, {title: rows for title, rows in shown.items() if rows}, [*data.notes, *notes])


def _part(task: PromptTask, split: Split) -> dict[str, Cell]:
    examples = task.data.parts[split]
    row: dict[str, Cell] = {"part": split.value, "examples": len(examples)}
    if isinstance(task.data.task, Choosing):
        counts = Counter(example.answer for example in examples)
        row |= {label: counts[label] for label in task.data.task.labels}
        row["most frequent"] = max(counts.values()) / len(examples)
    return row
