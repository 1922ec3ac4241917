"""Which tokens stay between two layers. Needs torch alone.

A selector has one of three shapes: `score` for each unit, `gains` of a set function that is filled greedily, or `score`
together with `counts`, a number of its own for each row. Each is given the strength that it is to be used with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Units:
    """The tokens that may go, beside those that ask: a class token, or the tokens of a question.

    Attributes:
        vectors: Their hidden states, shape (rows, units, width).
        attention: What each got from those that ask, in the layer before, over its heads, shape (rows, queries, units).
        queries: The hidden states of those that ask, shape (rows, queries, width).
        alive: Which of the units are there, shape (rows, units).
    """

    vectors: torch.Tensor
    attention: torch.Tensor
    queries: torch.Tensor
    alive: torch.Tensor

    @property
    def saliency(self) -> torch.Tensor:
        """The mean attention that each unit got, scaled to at most 1 in each row, shape (rows, units)."""
        mean = self.attention.mean(dim=1) * self.alive
        return mean / mean.amax(dim=1, keepdim=True).clamp(min=torch.finfo(mean.dtype).tiny)


def ranks(selector: Any, units: Units, strength: float) -> torch.Tensor:
    """Return in which order units are taken, shape (rows, units): 0 is the first; ties go to the front."""
    if hasattr(selector, "score"):
        scores: torch.Tensor = selector.score(units, strength).masked_fill(~units.alive, -math.inf)
        return scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return greedy(selector.gains(units, strength), units.alive)


def greedy(function: Any, alive: torch.Tensor) -> torch.Tensor:
    """Return the order in which units are taken, each the one that gains most beside those before, (rows, units).

    The gains of all units are one tensor, so that stale bounds would save nothing.

    Args:
        function: `of()` returns what each unit would gain now, (rows, units); `take(units)` takes one in each row.
        alive: Which units there are; the others come last.
    """
    rows, number = alive.shape
    left, order = alive.clone(), torch.zeros(rows, number, dtype=torch.long, device=alive.device)
    each = torch.arange(rows, device=alive.device)
    for place in range(number):
        gains = function.of().masked_fill(~left, -math.inf)
        # Where nothing is left any unit will do: those that are not there, in their order.
        gains = torch.where(left.any(dim=1, keepdim=True), gains, (~alive & ~_taken(order, place, number)).to(gains))
        picked = gains.argmax(dim=1)
        order[:, place] = picked
        left[each, picked] = False
        function.take(picked)
    return order.argsort(dim=1)


def _taken(order: torch.Tensor, place: int, number: int) -> torch.Tensor:
    taken = torch.zeros(len(order), number, dtype=torch.bool, device=order.device)
    return taken.scatter_(1, order[:, :place], value=True)


@dataclass(frozen=True)
class Attended:
    """Score: the attention that a unit got."""

    def score(self, units: Units, _strength: float) -> torch.Tensor:
        """Return one score per unit, shape (rows, units)."""
        return units.saliency


@dataclass(frozen=True)
class SaliencyDiversity:
    """Set function: saliency to the power of the strength, times how unlike a unit is to all that are taken.

    Infinite strength looks at saliency alone, and a strength of 0 at unlikeness: the farthest first, after the most
    salient.
    """

    def gains(self, units: Units, strength: float) -> _Unlike:
        """Return the function before anything is taken."""
        vectors = functional.normalize(units.vectors, dim=2)
        return _Unlike(units.saliency, vectors @ vectors.transpose(1, 2), strength)


class _Unlike:
    def __init__(self, saliency: torch.Tensor, alike: torch.Tensor, strength: float) -> None:
        self._saliency, self._alike, self._strength = saliency, alike.clamp(min=0.0, max=1.0), strength
        self._nearest = torch.zeros_like(saliency)
        self._empty = True

    def of(self) -> torch.Tensor:
        if math.isinf(self._strength) or self._empty:
            return self._saliency
        return self._saliency**self._strength * (1.0 - self._nearest)

    def take(self, picked: torch.Tensor) -> None:
        rows = torch.arange(len(picked), device=picked.device)
        self._nearest = torch.maximum(self._nearest, self._alike[rows, picked])
        self._empty = False


@dataclass(frozen=True)
class Coverage:
    """Set function: how much of what asks, and of all units, is covered by what is taken; monotone and submodular.

    The strength weighs the units' own term; with 0 only what asks is covered, with infinity only the units.
    """

    query_temperature: float = 0.01
    unit_temperature: float = 0.2

    def gains(self, units: Units, strength: float) -> _Covered:
        """Return the function before anything is taken."""
        vectors, queries = functional.normalize(units.vectors, dim=2), functional.normalize(units.queries, dim=2)
        asked = _shares(queries @ vectors.transpose(1, 2), units.alive, self.query_temperature)
        own = _shares(vectors @ vectors.transpose(1, 2), units.alive, self.unit_temperature)
        there = units.alive[:, :, None]
        own = own * there / there.sum(dim=1, keepdim=True).clamp(min=1)
        if math.isinf(strength):
            return _Covered(own)
        return _Covered(torch.cat([asked / asked.shape[1], strength * own], dim=1))


def _shares(alike: torch.Tensor, alive: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return how each row of likenesses is shared among the units that are there; nothing where none is."""
    hidden = (alike / temperature).masked_fill(~alive[:, None], torch.finfo(alike.dtype).min)
    return hidden.softmax(dim=2) * alive[:, None]


class _Covered:
    def __init__(self, cover: torch.Tensor) -> None:
        self._cover = cover  # (rows, what is covered, units)
        self._best = torch.zeros_like(cover[:, :, :1])

    def of(self) -> torch.Tensor:
        return (self._cover - self._best).clamp(min=0.0).sum(dim=1)

    def take(self, picked: torch.Tensor) -> None:
        rows = torch.arange(len(picked), device=picked.device)
        self._best = torch.maximum(self._best, self._cover[rows, :, picked][:, :, None])


@dataclass(frozen=True)
class Knee:
    """Score and own counts: likeness to what asks, down to the elbow of its sorted curve.

    The elbow is the point farthest from the line between the first and the last. A curve that is flat, one that nowhere
    bends further below that line than `flat` of its height, has none, and all of its units stay.
    """

    flat: float = 0.05

    def score(self, units: Units, _strength: float) -> torch.Tensor:
        """Return one score per unit, shape (rows, units)."""
        vectors, queries = functional.normalize(units.vectors, dim=2), functional.normalize(units.queries, dim=2)
        return (queries @ vectors.transpose(1, 2)).mean(dim=1)

    def counts(self, units: Units) -> torch.Tensor:
        """Return how many units of each row stand before its elbow, shape (rows,)."""
        scores = self.score(units, 1.0)
        found = [elbow(own[there].tolist(), self.flat) for own, there in zip(scores, units.alive, strict=True)]
        return torch.tensor(found, device=scores.device)


def elbow(values: Sequence[float], flat: float) -> int:
    """Return how many of the values, sorted from high to low, come before the elbow of their curve."""
    curve = torch.tensor(sorted(values, reverse=True), dtype=torch.float64)
    if len(curve) < 3:
        return len(curve)
    height = float(curve[0] - curve[-1])
    line = curve[0] - height * torch.linspace(0, 1, len(curve), dtype=torch.float64)
    below = line - curve
    place = int(below.argmax())
    return len(curve) if height <= 0 or float(below[place]) <= flat * height else place
