"""How the loss of each calibration image answers to a gate on each unit: computed once for all criteria."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.hooks import Watcher, by_place, readers, watched
from emoprune.problems.networks.calibration.remembering import remembering_the_last
from emoprune.problems.networks.coupling.structure import FIXED, Part, Structure

__all__ = ["GateGradients", "gate_columns", "gate_gradients_of", "labels_of_batches"]


@dataclass(frozen=True, slots=True, eq=False)
class GateGradients:
    """Per coupling group and unit, shape (units,): means over the images of a gate's derivative.

    The gate of a unit is a factor of 1 on its channels wherever they leave the coupling group; at 0 nobody would read
    them. `sizes` are means of absolute derivatives of an image's cross-entropy, `squares` of squared ones.
    """

    sizes: tuple[Scores, ...]
    squares: tuple[Scores, ...]


@remembering_the_last
def gate_gradients_of(evidence: Evidence) -> GateGradients:
    """Return the derivatives of each image's loss with respect to the units' gates, in one backward pass per batch.

    In eval mode an image's outputs depend on no other image, so that the gradient of the summed loss with respect to
    an activation is the gradient of its own image's loss: derivatives per image cost no more than one for all.
    """
    structure, calibration = evidence.structure, evidence.calibration
    columns = {part.path: gate_columns(structure, part) for part in readers(structure)}
    sizes, squares = np.zeros(sum(structure.units)), np.zeros(sum(structure.units))
    for batch, labels in zip(
        calibration.batches, labels_of_batches(calibration.batches, calibration.labels), strict=True
    ):
        derivatives = _derivatives(evidence, columns, batch, labels)
        sizes += derivatives.abs().sum(dim=0).cpu().numpy()
        squares += derivatives.square().sum(dim=0).cpu().numpy()
    images = max(1, len(calibration.labels))
    return GateGradients(_by_group(structure, sizes / images), _by_group(structure, squares / images))


def labels_of_batches(batches: Sequence[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return the labels of each batch.

    Raises:
        ContractError: There are not as many labels as images.
    """
    sizes = [len(batch) for batch in batches]
    if sum(sizes) != len(labels):
        raise ContractError(
            f"calibration: expected one label per image, found {sum(sizes)} images, {len(labels)} labels"
        )
    return torch.split(labels, sizes)


def _derivatives(
    evidence: Evidence, columns: dict[str, torch.Tensor], batch: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the derivatives by all gates of all groups, shape (images, gates), in 64 bits."""
    taken: dict[str, list[torch.Tensor]] = {path: [] for path in columns}
    parts = {part.path: part for part in readers(evidence.structure)}
    with torch.enable_grad():
        with watched(evidence.network, {path: _keeping(values) for path, values in taken.items()}):
            outputs = evidence.network(batch)
        loss = nn.functional.cross_entropy(outputs, labels, reduction="sum")
        kept = [(path, values) for path, own in taken.items() for values in own]
        gradients = _gradients(loss, [values for _, values in kept])
    found = torch.zeros((len(batch), sum(evidence.structure.units)), dtype=torch.float64, device=batch.device)
    for (path, values), gradient in zip(kept, gradients, strict=True):
        product = by_place(parts[path], values.detach() * gradient, len(batch)).sum(dim=1, dtype=torch.float64)
        gated = columns[path] != FIXED
        found.index_add_(1, columns[path][gated].to(batch.device), product[:, gated.to(batch.device)])
    return found


def _keeping(kept: list[torch.Tensor]) -> Watcher:
    """Return a watcher that hands on a copy of its own, so that other readers of the tensor add nothing to it."""

    def watcher(values: torch.Tensor) -> torch.Tensor:
        own = values.clone() if values.requires_grad else values.detach().clone().requires_grad_()
        kept.append(own)
        return own

    return watcher


def _gradients(loss: torch.Tensor, inputs: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    if not inputs or not loss.requires_grad:
        return [torch.zeros_like(values) for values in inputs]
    return torch.autograd.grad(loss, list(inputs), materialize_grads=True)


def gate_columns(structure: Structure, part: Part) -> torch.Tensor:
    """Return the column of each channel's gate among the gates of all groups, or FIXED, shape (channels,)."""
    assert part.incoming is not None  # noqa: S101  # a reader takes channels in; narrows the type
    starts = np.concatenate([[0], np.cumsum(structure.units)]).astype(np.int64)
    gates = starts[part.incoming.groups] + part.incoming.units  # FIXED picks some start, which is dropped here:
    return torch.from_numpy(np.where(part.incoming.groups == FIXED, FIXED, gates))


def _by_group(structure: Structure, values: Scores) -> tuple[Scores, ...]:
    values.setflags(write=False)  # shared by all who ask
    return tuple(np.split(values, np.cumsum(structure.units)[:-1]))
