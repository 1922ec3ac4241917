"""Least-squares repair: the output projection that makes of the kept channels what the whole one makes of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.criteria.contract import TransformerEvidence
from emoprune.problems.networks.transformers.criteria.statistics import Place, places_of
from emoprune.problems.networks.transformers.data.batches import Batch
from emoprune.space import IntArray

__all__ = ["RIDGE", "Grams", "Repairer", "grams_of", "kept_channels", "refitted"]

Grams = Mapping[
    str, torch.Tensor
]  # by path of an output projection x xᵀ summed over tokens, shape (channels, channels)

RIDGE = (
    0.1  # of the mean diagonal: as good or better than 0.01 and 1 on held-out text, from 16 windows of 128 tokens on
)


def grams_of(evidence: TransformerEvidence) -> dict[str, torch.Tensor]:
    """Return the Gram matrices of what every output projection of the unpruned model takes in, over calibration."""
    places = places_of(evidence.structure)
    grams: dict[str, torch.Tensor] = {}
    handles = []
    seen: list[Batch] = []
    try:
        for place in places:
            module = evidence.model.get_submodule(place.path)
            handles.append(module.register_forward_pre_hook(_adding(grams, place, seen)))
        with torch.no_grad():
            for batch in evidence.calibration:
                seen[:] = [batch]
                evidence.task.run(evidence.model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return grams


def _adding(
    grams: dict[str, torch.Tensor], place: Place, seen: list[Batch]
) -> Callable[[torch.nn.Module, tuple[torch.Tensor, ...]], None]:
    def hook(_module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        values = arguments[0]
        mask = seen[0].mask_of(values) if values.ndim == 3 else None
        if mask is not None:
            values = values[mask.bool()]
        rows = values.reshape(-1, values.shape[-1])
        own = rows.T @ rows
        grams[place.path] = grams[place.path] + own if place.path in grams else own

    return hook


def refitted(gram: torch.Tensor, weight: torch.Tensor, kept: torch.Tensor, ridge: float = RIDGE) -> torch.Tensor:
    """Return the weight on the kept channels with the least squared error to the whole one's outputs.

    Minimises ||X W - X_S V||² + r ||V - W_S||² over V, which needs nothing of X but its Gram matrix. Where the solver
    fails the sliced weight stays. Source: the weight tuning of K-prune, arXiv 2308.03449, with the unpruned model's
    activations, so that a layer's repair depends on its own plan alone.

    Args:
        gram: x xᵀ summed over tokens, shape (channels, channels).
        weight: Of the whole projection, shape (out, channels).
        kept: Rising indices of channels.
        ridge: r as a share of the mean diagonal.
    """
    sliced = weight[:, kept]
    if len(kept) == 0 or len(kept) == weight.shape[1]:
        return sliced
    penalty = ridge * gram.diagonal().mean().clamp(min=1e-12)
    inner = gram[kept][:, kept].clone()
    inner.diagonal().add_(penalty)
    wanted = gram[kept] @ weight.T + penalty * sliced.T
    factor, failed = torch.linalg.cholesky_ex(inner)
    if int(failed):
        return sliced
    solved = torch.cholesky_solve(wanted, factor).T
    return solved.contiguous() if bool(torch.isfinite(solved).all()) else sliced


class Repairer:
    """Repairs the output projections of narrowed layers; give it to a `Narrower`.

    Args:
        anatomy: Where heads and neurons are.
        grams: As `grams_of` returns them.
        weights: The unpruned output projections' weights by path.
        ridge: As `refitted` takes it.
    """

    def __init__(
        self, anatomy: Anatomy, grams: Grams, weights: Mapping[str, torch.Tensor], ridge: float = RIDGE
    ) -> None:
        self._anatomy = anatomy
        self._grams = grams
        self._weights = weights
        self._ridge = ridge

    def __call__(self, number: int, plan: BlockPlan, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the repaired weights of a layer by their path in it."""
        return {
            f"{path}.weight": self._fitted(f"{self._anatomy.path}.{number}.{path}", kept)
            for path, kept in kept_channels(self._anatomy, number, plan)
            if f"{path}.weight" in tensors and len(kept)
        }

    def _fitted(self, path: str, kept: IntArray) -> torch.Tensor:
        if path not in self._grams:  # an expert that no token was sent to
            return self._weights[path][:, torch.from_numpy(kept)]
        return refitted(self._grams[path], self._weights[path], torch.from_numpy(kept), self._ridge)


def kept_channels(anatomy: Anatomy, number: int, plan: BlockPlan) -> list[tuple[str, IntArray]]:
    """Return for each output projection of a layer its path in it, and the channels that it still takes in."""
    block = anatomy.blocks[number]
    width = block.attention.width
    rows = (plan.heads[:, np.newaxis] * width + np.arange(width)).reshape(-1)
    networks = zip(block.feed_forwards, block.split(plan.neurons), strict=True)
    return [(block.attention.output, rows), *((own.output, kept) for own, kept in networks)]
