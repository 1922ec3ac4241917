"""Trying the whole prompt before a search: one whose answers are no better than guessing is refused."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emoprune.problems.language.guessing import Tried, refuse_guessing
from emoprune.problems.prompts.objectives.contract import Answers
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["refuse_guessing_prompt"]

UNKNOWN = 100.0  # nats, for answers without log-probabilities: their loss tells nothing


def refuse_guessing_prompt(scoring: Scoring, template: Template) -> None:
    """Refuse a prompt whose answers cannot be told from always saying the commonest one.

    It is put to the search part, and to the select part where that does not tell; what is written freely has no level
    of guessing.

    Raises:
        ConfigError: It says what is likely wrong.
        EndpointFailed: The model does not answer.
    """
    task = scoring.task
    if not isinstance(task, Choosing):
        return
    labels = task.labels

    def pieces() -> Iterator[Tried]:
        for split in (Split.SEARCH, Split.SELECT):
            examples = scoring.parts[split]
            yield _tried(task.answers(scoring.prompted(template, split), examples, np.arange(len(examples))))

    refuse_guessing(pieces(), "the whole prompt", lambda: _reasons(labels))


def _tried(answers: Answers) -> Tried:
    rows, gold = np.arange(len(answers.right)), answers.gold
    told = answers.log_probabilities.shape[1] > 0
    losses = -answers.log_probabilities[rows, gold] if told else np.full(len(rows), UNKNOWN)
    return Tried(np.where(answers.right > 0.5, gold, -1), losses, gold)


def _reasons(labels: tuple[str, ...]) -> list[str]:
    return [
        "the model would go on otherwise behind the prompt: with a space or without one, or in a chat (chat: true)",
        f"the verbalisers are not the words that the prompt asks for, or stand for other labels of {list(labels)}",
        "the model is too small for the task, or the examples are labelled otherwise than the prompt says",
    ]
