"""What flows into the output projections, and how the loss answers to it: one pass forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch

from emoprune.problems.networks.transformers.anatomy.structure import Anatomy
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.data.batches import Batch

__all__ = ["Place", "Sums", "by_group", "places_of", "squares_of", "statistics_of"]

Loss = Callable[[Any, Batch], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """An output projection: the group of units that it takes in, from which unit on, and how many channels each has."""

    path: str
    group: int
    start: int
    units: int
    width: int


@dataclass(slots=True, eq=False)
class Sums:
    """Sums over all tokens that are there, at one place; x are the channels that it takes in, g is dL/dx.

    `sizes` of |x·g| per unit and token, `token_squares` and `example_squares` of (x·g)² per token and per example,
    `squares` of x² per channel, `products` of x xᵀ within a unit of several channels, shape (units, width, width),
    `outgoing` of the gradients of the place's outputs, g gᵀ, shape (out, out).
    """

    sizes: torch.Tensor
    token_squares: torch.Tensor
    example_squares: torch.Tensor
    squares: torch.Tensor
    products: torch.Tensor
    outgoing: torch.Tensor
    tokens: int = 0
    examples: int = 0
    kept: list[torch.Tensor] = field(default_factory=list)


def places_of(anatomy: Anatomy) -> list[Place]:
    """Return every output projection of the model, layer by layer."""
    found = []
    for number, block in enumerate(anatomy.blocks):
        where, attention = f"{anatomy.path}.{number}", block.attention
        found.append(Place(f"{where}.{attention.output}", 2 * number, 0, attention.heads, attention.width))
        start = 0
        for own in block.feed_forwards:
            found.append(Place(f"{where}.{own.output}", 2 * number + 1, start, own.neurons, 1))
            start += own.neurons
    return found


def statistics_of(evidence: TransformerEvidence, loss: Loss | None = None) -> dict[Place, Sums]:
    """Return the sums at every place over the calibration batches.

    Args:
        evidence: Stays as it was.
        loss: The task's own, unless another one is given.
    """
    places = places_of(evidence.structure)
    sums = {place: _empty(evidence, place) for place in places}
    for batch in evidence.calibration:
        with torch.enable_grad(), ExitStack() as stack:
            taken: dict[Place, list[tuple[torch.Tensor, torch.Tensor]]] = {place: [] for place in places}
            for place in places:
                _watch(stack, evidence.model.get_submodule(place.path), taken[place])
            found = (loss or evidence.task.loss)(evidence.model, batch)
            pairs = [(place, x, y) for place in places for x, y in taken[place]]
            gradients = torch.autograd.grad(
                found, [tensor for _, x, y in pairs for tensor in (x, y)], materialize_grads=True
            )
        for (place, x, _), g, outgoing in zip(pairs, gradients[::2], gradients[1::2], strict=True):
            _add(sums[place], place, (x.detach(), g, outgoing), batch)
    return sums


def squares_of(evidence: TransformerEvidence) -> dict[Place, tuple[torch.Tensor, int]]:
    """Return at every place the sums of x² per channel, shape (channels,), and of how many tokens: forwards alone."""
    places = places_of(evidence.structure)
    sums = {place: torch.zeros(place.units * place.width, dtype=torch.float64) for place in places}
    tokens = dict.fromkeys(places, 0)

    def adding(place: Place, batch: Batch) -> Callable[..., None]:
        def hook(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
            there, count = _there(arguments[0], batch)
            x = arguments[0] if there is None else arguments[0] * there
            sums[place] += x.reshape(-1, x.shape[-1]).double().square().sum(dim=0)
            tokens[place] += count

        return hook

    for batch in evidence.calibration:
        with torch.no_grad(), ExitStack() as stack:
            for place in places:
                module = evidence.model.get_submodule(place.path)
                stack.callback(module.register_forward_pre_hook(adding(place, batch)).remove)
            evidence.task.loss(evidence.model, batch)
    return {place: (sums[place], tokens[place]) for place in places}


def _there(x: torch.Tensor, batch: Batch) -> tuple[torch.Tensor | None, int]:
    """Return which tokens are there, to multiply with, None where all of them are; and how many."""
    # An expert sees only the tokens that were sent to it, without their examples.
    mask = None if x.ndim < 3 else batch.mask_of(x)
    if mask is None:
        return None, x[..., 0].numel()
    there = mask.bool()
    return there.unsqueeze(-1), int(there.sum())


def _empty(evidence: TransformerEvidence, place: Place) -> Sums:
    out: Any = evidence.model.get_submodule(place.path)
    units = torch.zeros(place.units, dtype=torch.float64)
    kind = out.weight.dtype
    products = torch.zeros(place.units, place.width, place.width, dtype=kind) if place.width > 1 else torch.zeros(0)
    channels = torch.zeros(place.units * place.width, dtype=torch.float64)
    outgoing = torch.zeros(out.out_features, out.out_features, dtype=kind)
    return Sums(units, units.clone(), units.clone(), channels, products, outgoing)


def _watch(stack: ExitStack, module: torch.nn.Module, taken: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Keep what the module takes in, as a leaf or a copy of its own, and what it puts out."""
    inputs: list[torch.Tensor] = []

    def before(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        values = arguments[0]
        own = values.clone() if values.requires_grad else values.detach().clone().requires_grad_()
        inputs.append(own)
        return (own, *arguments[1:])

    def after(_module: torch.nn.Module, _arguments: tuple[Any, ...], outputs: torch.Tensor) -> None:
        taken.append((inputs.pop(), outputs))

    for handle in (module.register_forward_pre_hook(before), module.register_forward_hook(after)):
        stack.callback(handle.remove)


def _add(sums: Sums, place: Place, seen: tuple[torch.Tensor, torch.Tensor, torch.Tensor], batch: Batch) -> None:
    x, g, outgoing = seen
    there, count = _there(x, batch)
    sums.tokens += count
    if there is not None:
        x, g = x * there, g * there
    gates = (x * g).view(*x.shape[:-1], place.units, place.width).sum(dim=-1).double()
    flat = x.reshape(-1, x.shape[-1])
    sums.sizes += gates.abs().flatten(0, -2).sum(dim=0)
    sums.token_squares += gates.square().flatten(0, -2).sum(dim=0)
    by_example = gates.sum(dim=1) if x.ndim == 3 else gates
    sums.example_squares += by_example.square().sum(dim=0)
    sums.examples += len(by_example)
    sums.squares += flat.double().square().sum(dim=0)
    if place.width > 1:
        heads = flat.view(-1, place.units, place.width)
        sums.products += torch.einsum("tuv,tuw->uvw", heads, heads)
    rows = outgoing.reshape(-1, outgoing.shape[-1])
    sums.outgoing += rows.T @ rows


def by_group(evidence: TransformerEvidence, values: Iterator[tuple[Place, torch.Tensor]]) -> list[Any]:
    """Return one array per group of units from one tensor per place."""
    found: list[list[torch.Tensor]] = [[] for _ in evidence.structure.groups]
    for place, own in values:
        found[place.group].append(own.double())
    return [torch.cat(parts).cpu().numpy() for parts in found]
