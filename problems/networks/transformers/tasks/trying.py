"""Trying the unpruned model before a search: one that scores like guessing is refused, with what is likely wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import reduce

import numpy as np
from scipy.optimize import linear_sum_assignment

from emoprune.errors import ConfigError
from emoprune.problems.language.guessing import Tried, refuse_guessing
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.tasks.labels import Classes
from emoprune.problems.networks.transformers.tasks.opened import Opened
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

__all__ = ["try_unpruned"]

MOST = 1024  # examples of a part, or tokens that follow another: so many tell what can be told
SURE = 3.0  # standard errors by which another order of the classes must be better

_IMAGES = (
    "the images are prepared otherwise than in its training: its folder needs the preprocessor_config.json that it was "
    "trained with"
)
_TEXTS = "the texts are of another language or kind than those that it was trained on"


def try_unpruned(opened: Opened, options: TransformerOptions) -> None:
    """Refuse a model that scores like guessing, or whose classes are in another order than was assumed.

    Raises:
        ConfigError: It says what is likely wrong.
    """
    if options.accept_guessing:
        return
    seen: list[Tried] = []

    def pieces() -> Iterator[Tried]:
        for batches in _parts(opened):
            seen.append(opened.task.tried(_most(opened, batches)))
            yield seen[-1]

    refuse_guessing(pieces(), "the unpruned model", lambda: _reasons(opened, options, reduce(Tried.joined, seen)))
    if opened.classes is not None and opened.classes.assumed:
        _check_order(opened.classes, reduce(Tried.joined, seen))


def _parts(opened: Opened) -> Iterator[Sequence[Batch]]:
    """Yield the parts to try, those with unseen examples first; what a new classifier was fitted to tells nothing."""
    yield opened.task.parts["search"]
    yield opened.task.parts["select"]
    if not opened.unfitted:
        yield opened.train


def _most(opened: Opened, batches: Sequence[Batch]) -> Sequence[Batch]:
    ends = np.cumsum([opened.task.numbers(batch) for batch in batches])
    return batches[: int(np.searchsorted(ends, MOST)) + 1]


def _reasons(opened: Opened, options: TransformerOptions, tried: Tried) -> list[str]:
    reasons = []
    if opened.classes is not None:
        best = _best_order(opened.classes, tried)
        alike = f"the model's classes are {list(opened.classes.names)}, the data's words {list(opened.classes.words)}"
        better = "" if best is None else f"; it would err on {best[1]:.1%} with labels: {best[0]}"
        reasons.append(f"the classes are numbered otherwise in the data than in the model: {alike}{better}")
    reasons += [_IMAGES if options.task == "image-classification" else _TEXTS]
    reasons += ["these are not its trained weights, or its tokenizer is another model's"]
    return [*reasons, *(note.rstrip(".") for note in opened.notes)]


def _check_order(classes: Classes, tried: Tried) -> None:
    best = _best_order(classes, tried)
    if best is not None:
        raise ConfigError(
            f"model: its config.json does not say which class is which of {list(classes.words)}, and in this order it "
            f"errs on {tried.error:.1%} of {len(tried.gold)} examples, in another on {best[1]:.1%}; say which is meant:"
            f" labels: {best[0]} for the other one, or labels: {list(classes.words)} for this one"
        )


def _best_order(classes: Classes, tried: Tried) -> tuple[list[str], float] | None:
    """Return the words in the order of outputs that errs least, and its error; None if this one is hardly worse."""
    if len(classes.words) != len(classes.names):
        return None
    count = len(classes.names)
    confusion = np.zeros((count, count))
    np.add.at(confusion, (tried.answers, tried.gold), 1.0)  # gold by outputs as they are taken now
    _, meant = linear_sum_assignment(-confusion)
    moved = np.flatnonzero(meant != np.arange(count))  # elsewhere both orders are right or wrong alike
    right, other = float(confusion[moved, moved].sum()), float(confusion[moved, meant[moved]].sum())
    if other - right <= SURE * math.sqrt(other + right):
        return None
    errs = tried.error - (other - right) / len(tried.gold)
    words = {int(output): word for output, word in zip(classes.ids, classes.words, strict=True)}
    return [words[int(output)] for output in meant], errs
