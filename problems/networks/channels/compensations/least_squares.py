"""Weights solved anew, so that from the channels that stay a layer computes what it computed from all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters, as_weight, inputs_of, staying_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.moments import Moments, patch_moments, width_of_filters, within
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.coupling.structure import Kept, Part
from emoprune.space import IntArray

__all__ = ["LeastSquares"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="moments of one pass over the calibration images, and a solve for each layer and width",
    papers=[Paper("Channel Pruning for Accelerating Very Deep Neural Networks", "1707.06168")],
)
class LeastSquares:
    """Let every layer reproduce its outputs on calibration images from the channels that stay.

    The weights W_K of the kept inputs x_K become W_K + W_R E[x_R x_K'] (E[x_K x_K'] + r)^-1 with the removed inputs x_R
    and a small diagonal r: ridge regression that is drawn towards the weights as they are, so the mean squared
    difference from the unpruned layer, on the patches it was solved for, is never larger than after plain slicing. A
    layer with a bias has a constant among its kept inputs, which shifts the bias. Inputs and outputs are the unpruned
    network's; each layer is solved by itself, each group of a grouped convolution too. Nothing depends on batch norm.

    Left as they are: depthwise convolutions (each filter goes with its only input), transposed ones (several places of
    the input add up in one output), and layers whose filters have more than `most_weights` weights, whose moments
    would not fit into memory. Where a layer norm comes before a layer, its values for the channels that stay change
    with the others' absence; that change is not foreseen here.

    Source: He, Zhang and Sun, Channel Pruning for Accelerating Very Deep Neural Networks, arXiv 1707.06168.

    Args:
        ridge: r as a share of each kept input's mean square; with fewer than 100 calibration images 1e-4 is safer.
        rows_per_weight: How many places are sampled for each weight of a filter, as far as the images have them.
        most_weights: The most weights of a filter for which a layer is solved.
        shift_bias: Whether biases are solved for as well.
    """

    leaf: ClassVar[str] = "filter ranking/activation of the next layer"

    def __init__(
        self,
        *,
        ridge: float = 1e-6,
        rows_per_weight: float = 4.0,
        most_weights: int = 4608,
        shift_bias: bool = True,
    ) -> None:
        if not (math.isfinite(ridge) and ridge > 0):
            raise ConfigError(f"ridge: expected a positive number, found {ridge}; without it there may be no solution")
        if not (math.isfinite(rows_per_weight) and rows_per_weight > 0):
            raise ConfigError(f"rows_per_weight: expected a positive number, found {rows_per_weight}")
        self._ridge = ridge
        self._rows_per_weight = rows_per_weight
        self._most_weights = most_weights
        self._shift_bias = shift_bias

    def statistics(self, evidence: Evidence) -> Statistics:
        """Return each layer's moments of what its filters read, as `<path>.moments`, shape (groups, w + 1, w + 1)."""
        parts = [part for part in readers(evidence.structure) if not part.kind.startswith("ConvTranspose")]
        solved = within(parts, [width_of_filters(part) for part in parts], self._most_weights, "least-squares")
        gathered = patch_moments(evidence, solved, self._rows_per_weight)
        return {f"{part.path}.moments": moments for part, moments in gathered}

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        """Return the part's weight, and its bias if it has one, solved anew for the inputs that stay."""
        moments = statistics.get(f"{part.path}.moments")
        if moments is None:
            return {}
        inputs = inputs_of(part, kept)
        if not inputs.going.size:
            return {}
        weight, bias = unpruned[f"{part.path}.weight"], unpruned.get(f"{part.path}.bias")
        filters = staying_filters(part, as_filters(part, weight), kept)
        shifting = self._shift_bias and bias is not None
        taken_over = self._taken_over(moments, inputs.staying, inputs.going, filters.shape[3], shifting=shifting)
        gained = filters[:, :, inputs.going].flatten(2) @ taken_over
        rows = len(inputs.staying) * filters.shape[3]
        changed = filters[:, :, inputs.staying] + gained[:, :, :rows].reshape(*gained.shape[:2], -1, filters.shape[3])
        found = {f"{part.path}.weight": as_weight(part, changed, weight)}
        if bias is not None and shifting:
            staying = bias.detach() if part.outgoing is None else bias.detach()[part.outgoing.staying(kept)]
            found[f"{part.path}.bias"] = staying + gained[:, :, rows].flatten().to(bias)
        return found

    def _taken_over(
        self, moments: Moments, staying: IntArray, going: IntArray, taps: int, *, shifting: bool
    ) -> torch.Tensor:
        """Return how each removed input is best put together from the kept ones, and from 1 if the bias may shift."""
        kept, removed = (_columns(channels, taps) for channels in (staying, going))
        constant = [moments.shape[1] - 1] if shifting else []
        known = np.concatenate([kept, np.array(constant, dtype=np.int64)])
        among = torch.from_numpy(moments[:, known[:, np.newaxis], known])
        across = torch.from_numpy(moments[:, removed[:, np.newaxis], known])
        diagonal = among.diagonal(dim1=1, dim2=2)  # a view: what is added to it is added to `among`
        inputs = diagonal[:, : len(kept)]
        inputs += (self._ridge * inputs).clamp_min(1e-30)
        solved = torch.cholesky_solve(across.transpose(1, 2), torch.linalg.cholesky(among))
        return solved.transpose(1, 2)


def _columns(channels: IntArray, taps: int) -> IntArray:
    """Return the places of all taps of some channels among a filter's weights."""
    return np.asarray((channels[:, np.newaxis] * taps + np.arange(taps)).ravel(), dtype=np.int64)
