"""Measuring a whole model as it is, such as one that was trained after pruning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.running.passing import calls_of
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["hidden_of_model", "scores_of_model"]


def scores_of_model(
    opened: Opened,
    model: Any,
    part: str,
    names: frozenset[str],
    *,
    device: str,
    unpruned: Sequence[torch.Tensor] | None = None,
) -> dict[str, float]:
    """Return the measures among `names` of a model, narrowed or not, on a part of the data.

    Args:
        opened: The task and its data.
        model: On `device`, in eval mode.
        part: search, select or test.
        names: Of the task's measures.
        device: Where the model is.
        unpruned: What a judge's `finished` returned for the unpruned model, which `kl` is held against.
    """
    narrower, batches = Narrower(model, opened.anatomy), [batch.on(device) for batch in opened.task.parts[part]]
    judge = opened.task.judge(narrower, {part: batches})
    if unpruned is not None:
        judge.remember(unpruned, part)
    return judge.scores(hidden_of_model(narrower, batches), part, names)


def hidden_of_model(narrower: Narrower, batches: Sequence[Batch]) -> list[torch.Tensor]:
    """Return the last layer's hidden states of every batch, of the narrower's own model with all its layers."""
    if narrower.anatomy.several:
        with torch.no_grad():
            return [first_output(narrower.model(**batch.inputs)) for batch in batches]
    blocks, found = narrower.model.get_submodule(narrower.anatomy.path), []
    for batch in batches:
        calls = calls_of(narrower, batch.inputs)
        hidden = calls.hidden
        with torch.no_grad():
            for number, block in enumerate(blocks):
                hidden = calls.run(number, block, hidden)
        found.append(hidden)
    return found
