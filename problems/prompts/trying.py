"""Trying prompts before a search: where their answers are no better than guessing, nothing can be chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.language.guessing import Tried, guessing, refusal
from emoprune.problems.prompts.objectives.contract import Answers
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.naming import Naming
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["refuse_guessing_prompts"]


def refuse_guessing_prompts(scoring: Scoring, templates: Iterable[Template], what: str) -> None:
    """Refuse prompts none of whose answers can be told from always saying the commonest one.

    Each is put to the search part, and to the select part where that does not tell; those after the first that tells
    are not asked about. What is written freely has no level of guessing.

    Args:
        scoring: What puts prompts to examples.
        templates: The prompts that a search begins with.
        what: They, in the words of a person.

    Raises:
        ConfigError: It says what is likely wrong, or that a prompt cannot be answered at all.
        EndpointFailed: The model does not answer.
        BudgetSpent: Its answers would pass a bound of the run.
    """
    if not isinstance(scoring.task, Choosing | Naming):
        return
    best, written = None, list[str]()
    for template in templates:
        tried = guessing(_pieces(scoring, template, written))
        if tried is None:
            return
        best = tried if best is None or tried.error < best.error else best
    if best is not None:
        raise ConfigError(refusal(what, best.said, _reasons(scoring.task, written)))


def _pieces(scoring: Scoring, template: Template, written: list[str]) -> Iterator[Tried]:
    """Yield what a prompt is answered, part after part; answers that are written are kept."""
    for split in (Split.SEARCH, Split.SELECT):
        examples = scoring.parts[split]
        prompted = scoring.prompted(template, split)
        try:
            answers = scoring.task.answers(prompted, examples, np.arange(len(examples)))
        except FloatingPointError as error:
            raise ConfigError(f"model: the prompt {template.text[:60]!r} cannot be answered: {error}") from error
        written += answers.written
        yield _tried(answers)


def _tried(answers: Answers) -> Tried:
    rows, gold = np.arange(len(answers.right)), answers.gold
    told = answers.log_probabilities.shape[1] > 0  # of what is written no losses are known
    losses = -answers.log_probabilities[rows, gold] if told else np.zeros(0)
    return Tried(np.where(answers.right > 0.5, gold, -1), losses, gold)


def _reasons(task: Choosing | Naming, written: list[str]) -> list[str]:
    if isinstance(task, Naming):
        none = [text for text in written if task.named(text) is None]
        first = f"{len(none)} of {len(written)} answers name none of the words, or several" + (
            f", as {none[0][:60]!r}" if none else ""
        )
        first += "; let the prompt ask for one word, or allow for longer answers with answer_tokens and answer_end"
    else:
        first = (
            "the model would go on otherwise behind the prompt: with a space or without one, or in a chat (chat: true)"
        )
    return [
        first,
        f"the verbalisers are not the words that the prompt asks for, or stand for other labels of {list(task.labels)}",
        "the model is too small for the task, or the examples are labelled otherwise than the prompt says",
    ]
