"""Units ranked by what the loss would rise without them, by Kronecker-factored curvature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.calibration.filters import as_filters
from emoprune.problems.networks.calibration.gradients import labels_of_batches
from emoprune.problems.networks.calibration.moments import patch_moments, width_of_filters, within
from emoprune.problems.networks.criteria.per_unit import summed_over_units

__all__ = ["KFAC"]

WIDEST = 4608
ROWS_PER_WEIGHT = 4.0


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="moments of the calibration images, and one pass forwards and backwards over them",
    papers=[
        Paper(
            "Neuron-based Pruning of Deep Neural Networks with Better Generalization using Kronecker Factored "
            "Curvature Approximation",
            "2111.08577",
        )
    ],
    gradients=True,
)
class KFAC:
    """Half of w A w S for each filter, summed over those that put a unit out.

    A is the mean outer product of what the filter reads, S the mean square of the loss's derivative by what it puts
    out, at every place: the diagonal blocks of Kronecker-factored curvature. Source: Ebrahimi and Klabjan, Neuron-based
    Pruning of Deep Neural Networks with Better Generalization using Kronecker Factored Curvature Approximation, arXiv
    2111.08577. Transposed convolutions count for nothing.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return the summed rises of each unit's filters, in nats."""
        weighted = [
            part
            for part in evidence.structure.weighted
            if part.outgoing is not None and part.incoming is not None and not part.kind.startswith("ConvTranspose")
        ]
        parts = within(weighted, [width_of_filters(part) for part in weighted], WIDEST, "kfac")
        squares = _squares(evidence, [part.path for part in parts])
        elements = {}
        for part, moments in patch_moments(evidence, parts, ROWS_PER_WEIGHT):
            module: Any = evidence.network.get_submodule(part.path)
            filters = as_filters(part, module.weight).flatten(2).numpy()
            bias = np.zeros(filters.shape[:2]) if module.bias is None else module.bias.detach().double().cpu().numpy()
            whole = np.concatenate([filters, bias.reshape(*filters.shape[:2], 1)], axis=2)
            read = np.einsum("gfi,gij,gfj->gf", whole, moments, whole).reshape(-1)
            elements[part.path] = np.maximum(read, 0.0) * squares[part.path] / 2
        return summed_over_units(evidence.structure, elements)


def _squares(evidence: Evidence, paths: list[str]) -> dict[str, Scores]:
    """Return by layer the mean square over images and places of each image's loss's derivative by its outputs."""
    sums: dict[str, Any] = dict.fromkeys(paths, 0.0)
    places = dict.fromkeys(paths, 0)
    kept: list[tuple[str, int, torch.Tensor]] = []

    def watching(path: str) -> Callable[[nn.Module, Any, torch.Tensor], torch.Tensor]:
        def hook(module: nn.Module, _given: Any, found: torch.Tensor) -> torch.Tensor:
            own = found if found.requires_grad else found.detach().requires_grad_()
            kept.append((path, -1 if isinstance(module, nn.Linear) else 1, own))
            return own

        return hook

    handles = [evidence.network.get_submodule(path).register_forward_hook(watching(path)) for path in paths]
    labels = labels_of_batches(evidence.calibration.batches, evidence.calibration.labels)
    try:
        with torch.enable_grad():
            for batch, wanted in zip(evidence.calibration.batches, labels, strict=True):
                kept.clear()
                loss = nn.functional.cross_entropy(evidence.network(batch), wanted, reduction="sum")
                outputs = [own for _, _, own in kept]
                found = torch.autograd.grad(loss, outputs, materialize_grads=True, allow_unused=True)
                for (path, axis, _), gradient in zip(kept, found, strict=True):
                    rows = gradient.double().movedim(axis, -1).flatten(0, -2)
                    sums[path] = sums[path] + rows.square().sum(dim=0).cpu().numpy()
                    places[path] += len(rows)
    finally:
        for handle in handles:
            handle.remove()
    return {path: np.asarray(sums[path] / max(1, places[path])) for path in paths}
