"""Fitting a linear classifier on an encoder's features: a convex problem, solved to the end, the same every time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from emoprune.problems.compute.device import one_thread
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.problems.networks.transformers.standalone.pooling import PooledClassifier

__all__ = ["fit_classifier"]

STEPS = 200
PENALTIES = (1e-3, 1e-2, 3e-2, 1e-1)  # on standardised features, relative to the mean loss
FOLDS = 4


def fit_classifier(model: PooledClassifier, batches: Sequence[Batch]) -> None:
    """Fit the model's classifier to labelled batches in place: logistic regression with an L2 penalty.

    Of several penalties the one with the lowest loss on rows that were left out.
    """
    with one_thread(), torch.no_grad():
        features = torch.cat([model.pooled(**batch.inputs) for batch in batches]).double()
    labels = torch.cat([batch.labels for batch in batches])
    mean, scale = features.mean(dim=0), features.std(dim=0).clamp(min=1e-9)
    standard, classes = (features - mean) / scale, int(model.classifier.out_features)
    with one_thread():
        held_out = [_held_out(standard, labels, classes, penalty) for penalty in PENALTIES]
        weight, bias = _solved(standard, labels, classes, PENALTIES[held_out.index(min(held_out))])
    with torch.no_grad():
        model.classifier.weight.copy_(weight / scale)
        model.classifier.bias.copy_(bias - (weight / scale) @ mean)


def _held_out(features: torch.Tensor, labels: torch.Tensor, classes: int, penalty: float) -> float:
    """Return the loss on rows that were left out while fitting, a part of them at a time."""
    total, fold = 0.0, torch.arange(len(labels)) % FOLDS
    for own in range(FOLDS):
        weight, bias = _solved(features[fold != own], labels[fold != own], classes, penalty)
        outputs = features[fold == own] @ weight.T + bias
        total += float(functional.cross_entropy(outputs, labels[fold == own], reduction="sum"))
    return total


def _solved(
    features: torch.Tensor, labels: torch.Tensor, classes: int, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=STEPS, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        found = functional.cross_entropy(features @ weight.T + bias, labels) + penalty * weight.square().sum()
        torch.autograd.backward(found)
        return found

    with torch.enable_grad():
        solver.step(loss)  # type: ignore[no-untyped-call]  # torch's stubs leave it out
    return weight.detach(), bias.detach()
