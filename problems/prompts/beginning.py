"""What is decided and checked once per run, before a prompt is measured."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from emoprune.errors import ConfigError
from emoprune.problems.prompts.continuation import Continuation, chosen_continuation, kept_continuation
from emoprune.problems.prompts.models import check_fits
from emoprune.problems.prompts.scorers.contract import Choices, Filled, Scorer
from emoprune.problems.prompts.scorers.endpoint import EndpointScorer
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.tasks.choosing import Choosing
from emoprune.problems.prompts.tasks.naming import LOST, Naming
from emoprune.problems.prompts.tasks.saying import still_thinking
from emoprune.problems.prompts.template import Template
from emoprune.records import Split

__all__ = ["begin"]

CONTINUATION, PRECISION = "continuation.json", "precision.json"

_log = logging.getLogger("emoprune")


def begin(task: PromptTask, folder: Path, tried: Callable[[], Sequence[Template]]) -> None:
    """Load the model, decide how answers follow and in which precision, and check that the prompt can be put.

    Args:
        task: What is begun.
        folder: Where the decisions are kept.
        tried: The whole prompt and several pruned ones, to decide by.

    Raises:
        ConfigError: The prompt does not fit into the model's context, or the endpoint cannot be used.
        BudgetSpent: Asking an endpoint would pass a bound of the run.
    """
    task.budget.begin(folder)
    kept = kept_continuation(folder / CONTINUATION)
    if kept is not None:
        task.follow(kept)
    decided = task.model.recall_precision(folder / PRECISION)
    scorer = task.load("cpu")
    for split in Split:
        check_fits(scorer, task.filled(task.longest, split), task.data.task, split.value)
    whole = task.filled(tried()[0], Split.SEARCH)
    if isinstance(scorer, EndpointScorer):
        _check_endpoint(task, scorer, whole, folder / CONTINUATION)
    elif task.undecided:
        task.follow(_heaviest(task, scorer, whole, folder / CONTINUATION))
    if not decided:
        prompts = [task.filled(template, Split.SEARCH) for template in tried()]
        task.model.decide_precision(folder / PRECISION, prompts, task.trial)
    for words in task.alarms():
        _log.warning("%s", words)


def _heaviest(task: PromptTask, scorer: Scorer, whole: Filled, path: Path) -> Continuation:
    """Return how answers follow the prompt, by the mass on them, and keep it."""
    rows = np.arange(len(whole.inputs))

    def asked(words: Choices) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        if isinstance(scorer, EndpointScorer):
            return scorer.tried(whole, words, len(rows))
        return scorer.prompted(whole, words).likelihoods(rows)

    return chosen_continuation(path, task.data.alternatives, asked, masked=whole.template.masked)


def _check_endpoint(task: PromptTask, scorer: EndpointScorer, whole: Filled, path: Path) -> None:
    own = task.data.task
    if isinstance(own, Naming):
        _log.warning("%s", LOST)
    if not isinstance(own, Choosing):
        _check_thoughts(scorer.check_writing(whole, own.answer_tokens, own.answer_end))
    elif task.undecided:
        task.follow(_heaviest(task, scorer, whole, path))
    else:
        scorer.check(whole, own.choices)


def _check_thoughts(said: str) -> None:
    """Refuse a model that thinks for longer than its answers may be."""
    if still_thinking(said):
        raise ConfigError(
            f"answer_tokens: the model thinks before it answers, and its first answer ends within its thoughts: "
            f"{said[:60]!r}; give more answer_tokens and an empty answer_end, or let it not think, as some servers can "
            "be told in endpoint.body"
        )
