"""The repair of a chosen candidate, layer by layer: each is fitted to what the ones before it really put out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Block, BlockPlan
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.repair.direct import RIDGE
from emoprune.problems.networks.transformers.running.passing import Calls, calls_of
from emoprune.problems.networks.transformers.tasks.opening import Opened

__all__ = ["Seen", "fit_projection", "repaired_in_turn", "wanted_outputs", "watched_layer"]

CLOSE = 1e-4
Tensors = list[torch.Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one layer did with every batch: its input and output, and input and output of its two output projections.

    `beside` is what the feed-forward network's projection is added to, None if it is added to nothing that is known.
    """

    taken: Tensors
    given: Tensors
    attention: tuple[Tensors, Tensors]
    feed_forward: tuple[Tensors, Tensors]
    beside: Tensors | None


def repaired_in_turn(opened: Opened, model: Any, plans: Sequence[BlockPlan], device: str) -> Any:
    """Fit the output projections of a narrowed model in turn, from the first layer to the last, in place.

    Each is fitted by least squares so that what flows on after it is what flows on there in the unpruned model, as well
    as the kept channels can: a layer makes up for the errors of those before it, too. A ridge keeps weights near those
    before. Mixtures of experts keep theirs. Source: the weight tuning of K-prune, arXiv 2308.03449.

    Args:
        opened: The unpruned model and the calibration batches.
        model: Narrowed with `plans`, with tensors of its own, without gradients.
        plans: One per layer of the unpruned model.
        device: Where both models are.
    """
    batches = [batch.on(device) for batch in opened.task.parts[CALIBRATION]]
    masks = [batch.mask for batch in batches]
    unpruned, own = opened.narrower(), Narrower(model, opened.anatomy)
    whole, blocks = (each.model.get_submodule(opened.anatomy.path) for each in (unpruned, own))
    theirs, mine = ([calls_of(each, batch.inputs) for batch in batches] for each in (unpruned, own))
    taught, states = [each.hidden for each in theirs], [each.hidden for each in mine]
    place = 0
    for number, plan in enumerate(plans):
        block = opened.anatomy.blocks[number]
        lesson = watched_layer(whole[number], block, number, theirs, taught)
        if plan.kept:
            if len(plan.heads):
                found = watched_layer(blocks[place], block, place, mine, states)
                wanted = wanted_outputs(lesson.attention[1], lesson.taken, found.taken)
                fit_projection(blocks[place].get_submodule(block.attention.output), found.attention[0], wanted, masks)
            if len(block.feed_forwards) == 1 and len(plan.neurons):
                found = watched_layer(blocks[place], block, place, mine, states)
                wanted = wanted_outputs(lesson.feed_forward[1], lesson.beside, found.beside)
                fit_projection(
                    blocks[place].get_submodule(block.feed_forwards[0].output), found.feed_forward[0], wanted, masks
                )
            states = watched_layer(blocks[place], block, place, mine, states).given
            place += 1
        taught = lesson.given
    return model


def wanted_outputs(outputs: Tensors, theirs: Tensors | None, mine: Tensors | None) -> Tensors:
    """Return what a projection should put out: the unpruned one's output, and what is missing beside it."""
    if theirs is None or mine is None:
        return outputs
    return [own + their - my for own, their, my in zip(outputs, theirs, mine, strict=True)]


def watched_layer(block: nn.Module, anatomy: Block, place: int, calls: Sequence[Calls], states: Tensors) -> Seen:
    """Run a layer on every batch and look at its output projections."""
    paths = [anatomy.attention.output, anatomy.feed_forwards[-1].output, anatomy.feed_forwards[-1].inputs[0]]
    inputs: dict[str, Tensors] = {path: [] for path in paths}
    outputs: dict[str, Tensors] = {path: [] for path in paths}
    with ExitStack() as stack, torch.no_grad():
        for path in paths:
            try:
                module = block.get_submodule(path)
            except AttributeError:
                continue  # of an attention without heads

            def hook(_module: nn.Module, arguments: tuple[Any, ...], found: torch.Tensor, path: str = path) -> None:
                inputs[path].append(arguments[0])
                outputs[path].append(found)

            stack.callback(module.register_forward_hook(hook).remove)
        given = [each.run(place, block, state) for each, state in zip(calls, states, strict=True)]
    attention, down, first = paths
    beside = _beside(states, given, outputs[attention], outputs[down], inputs[first])
    return Seen(states, given, (inputs[attention], outputs[attention]), (inputs[down], outputs[down]), beside)


def _beside(taken: Tensors, given: Tensors, attention: Tensors, down: Tensors, first: Tensors) -> Tensors | None:
    """Return what the last projection is added to: where norms come first it is the rest of what the layer puts out."""
    if not attention or not down or given[0].shape != down[0].shape:
        return None
    sums = taken[0] + attention[0] + down[0]
    if float((sums - given[0]).abs().max()) <= CLOSE * float(given[0].abs().max()):
        return [out - own for out, own in zip(given, down, strict=True)]
    # Where a norm follows each sum, the network reads the very tensor that it is added to.
    return first if first and first[0].shape == down[0].shape else None


def fit_projection(
    linear: Any,
    inputs: Tensors,
    wanted: Tensors,
    masks: Sequence[torch.Tensor | None],
    kept: torch.Tensor | None = None,
) -> None:
    """Fit a linear layer's weight in place; where the solver fails it stays.

    Args:
        linear: Its bias stays.
        inputs: What it takes in, a tensor per batch.
        wanted: What it should put out.
        masks: Which tokens count, by batch; None counts all.
        kept: The channels that may be used, the others get a weight of zero; None uses all.
    """
    columns = torch.arange(linear.weight.shape[1]) if kept is None else kept
    weight = linear.weight[:, columns]
    gram = weight.new_zeros((len(columns),) * 2)
    cross = weight.new_zeros((len(columns), weight.shape[0]))
    for taken, target, mask in zip(inputs, wanted, masks, strict=True):
        there = torch.ones(taken.shape[:-1], dtype=torch.bool) if mask is None else mask.bool()
        rows = taken[there][:, columns]
        gram += rows.T @ rows
        cross += rows.T @ (target[there] - (0.0 if linear.bias is None else linear.bias))
    penalty = RIDGE * gram.diagonal().mean().clamp(min=1e-12) if len(columns) else 0.0
    gram.diagonal().add_(penalty)
    factor, failed = torch.linalg.cholesky_ex(gram)
    solved = weight if int(failed) else torch.cholesky_solve(cross + penalty * weight.T, factor).T
    linear.weight.zero_()
    linear.weight[:, columns] = solved if bool(torch.isfinite(solved).all()) else weight
