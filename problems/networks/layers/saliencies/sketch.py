"""Weights drawn with a probability that another saliency gives, instead of the largest ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from emoprune import plugins
from emoprune.contracts import FloatArray, Paper, Saliency, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.layers.saliencies.contract import Need, ScoredLayer, needs_of, scores_of

__all__ = ["Sketch", "sketch_error", "sketched"]

TINY = 1e-30  # a score of zero is drawn last


@about(
    "pruning",
    ["weights"],
    serves=["weight-ratios", "transformer-weight-ratios"],
    papers=[Paper("Pruning at Initialization -- A Sketching Perspective", "2305.17559")],
    cost="what the score takes that it draws by",
)
class Sketch:
    """Random keys by which weights stay as if they were drawn one after the other with a score as probability.

    For y = X w, drawing column i with probability proportional to |w_i| |X_i| is the sketch with the least error, and
    that is what `input-scaled` scores; without data `magnitude`. Every run draws once, from its seed: report the mean
    over several seeds, not the best. Source: Bar and Giryes, Pruning at Initialization -- A Sketching Perspective,
    arXiv 2305.17559.

    Args:
        score: The saliency that gives the probabilities, or a mapping of its name and options.
        temperature: How random: 1 draws by the score, 0 keeps the largest, in between is a mixture.
    """

    def __init__(self, score: str | Mapping[str, Any] = "input-scaled", temperature: float = 1.0) -> None:
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"sketch: expected a temperature of 0 or more, found {temperature}")
        self._score: Saliency[ScoredLayer, torch.Tensor] = plugins.method("saliency", score, "weight-ratios")
        self._temperature = temperature
        self.needs: tuple[Need, ...] = needs_of(self._score)

    def __call__(self, layer: ScoredLayer) -> torch.Tensor:
        """Return the logarithm of the score and noise of Gumbel's distribution: the largest are the first draws."""
        chances = scores_of(self._score, layer).double().clamp(min=TINY).log()
        uniform = torch.rand(chances.shape, generator=layer.generator, dtype=torch.float64).clamp(min=TINY)
        return chances - self._temperature * (-uniform.log()).clamp(min=TINY).log()


def sketched(weight: FloatArray, chances: FloatArray, draws: int, rng: np.random.Generator) -> FloatArray:
    """Return an unbiased estimate of weights from columns drawn with replacement, shape (weights,).

    Args:
        weight: Shape (weights,).
        chances: The probability of each, shape (weights,), summing to 1.
        draws: How many.
        rng: Draws them.
    """
    counts = rng.multinomial(draws, chances)
    drawn = counts > 0
    found = np.zeros(len(weight))
    found[drawn] = weight[drawn] * counts[drawn] / (draws * chances[drawn])
    return found


def sketch_error(inputs: FloatArray, weight: FloatArray, chances: FloatArray, draws: int) -> float:
    """Return the expected squared error of X w with the weights of `sketched`: for X of (n, weights)."""
    lengths = np.square(inputs).sum(axis=0)
    whole = float(np.square(inputs @ weight).sum())
    own = chances > 0
    return (float((lengths[own] * np.square(weight[own]) / chances[own]).sum()) - whole) / draws
