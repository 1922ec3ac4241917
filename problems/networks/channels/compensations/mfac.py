"""Weights moved to where the loss rises least when others go, by the curvature of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters, as_weight, inputs_of, staying_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.inverse_fisher import (
    blocked,
    check_curvature,
    diagonals,
    jointly_moved,
    separately_moved,
)
from emoprune.problems.networks.calibration.weight_gradients import blocks_of_gradients, gradients_of_weights
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.coupling.structure import Kept, Part

__all__ = ["MFAC"]

_AT_ONCE = 1 << 23  # gradients' values in 64 bits at once: 64 MiB


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="gradients of small batches of the calibration images, and an inverse for each block of weights",
    papers=[Paper("M-FAC: Efficient Matrix-Free Approximations of Second-Order Information", "2107.03356")],
    gradients=True,
)
class MFAC:
    """Move the weights that stay to the minimum of a quadratic model of the loss in which the others are 0.

    The model's Hessian is the empirical Fisher matrix of `gradients` small batches plus `damping`, in blocks of weights
    of one filter. `joint` removes all the weights of a block that go at once: with kept weights K and removed ones R,
    dw_K = F_KK^-1 F_KR w_R. `separate` is the paper's sum of the updates that each removal alone would ask for,
    -F^-1 (w_R / diag F^-1), which is cheaper and counts twice what correlated weights have in common. For one
    removed weight both are the same, and the model's loss rises by w^2 / (2 [F^-1]).

    Filters keep to themselves: what a filter loses is made up for by its own other weights, biases stay. Depthwise
    filters lose nothing. The statistics take 2 bytes per gradient and weight.

    Source: Frantar, Kurtic and Alistarh, M-FAC: Efficient Matrix-Free Approximations of Second-Order Information, arXiv
    2107.03356.

    Args:
        gradients: How many gradients make the Fisher matrix.
        block: The most weights of one block.
        damping: What is added to the Fisher matrix's diagonal.
        update: Whether a block's weights are removed jointly or separately.
        megabytes: The most memory that statistics may take.
    """

    leaf: ClassVar[str] = "optimisation tools/second-order Taylor"

    def __init__(
        self,
        *,
        gradients: int = 64,
        block: int = 128,
        damping: float = 1e-5,
        update: Literal["joint", "separate"] = "joint",
        megabytes: int = 1024,
    ) -> None:
        check_curvature(gradients, block, damping)
        self._gradients, self._block, self._damping = gradients, block, damping
        self._update, self._megabytes = update, megabytes

    def statistics(self, evidence: Evidence) -> Statistics:
        """Return by path `.gradients`, shape (filters, blocks, m, length), to multiply by `.scale`, (filters, blocks).

        For separate updates also `.diagonal` of the inverse Fisher matrix, shape (filters, blocks, length).

        Raises:
            ConfigError: They would take more memory than allowed.
        """
        parts = readers(evidence.structure)
        self._check_size(evidence)
        found: dict[str, NDArray[np.generic]] = {}
        for part, gradients in gradients_of_weights(evidence, parts, self._gradients):
            blocks = blocks_of_gradients(part, gradients, self._block)
            scale = np.abs(blocks).max(axis=(2, 3))
            # As shares of the block's largest, because 16 bits do not reach below 1e-7.
            shares = np.divide(
                blocks, scale[..., None, None], out=np.zeros_like(blocks), where=scale[..., None, None] > 0
            )
            found |= {f"{part.path}.gradients": shares.astype(np.float16), f"{part.path}.scale": scale}
            if self._update == "separate":
                found[f"{part.path}.diagonal"] = diagonals(blocks, self._damping).astype(np.float32)
        return found

    def _check_size(self, evidence: Evidence) -> None:
        weights = sum(
            evidence.network.get_parameter(f"{part.path}.weight").numel() for part in readers(evidence.structure)
        )
        megabytes = 2 * self._gradients * weights / 2**20
        if megabytes > self._megabytes:
            raise ConfigError(
                f"mfac: {self._gradients} gradients of {weights} weights take {megabytes:.0f} MiB, more than the "
                f"{self._megabytes} allowed; ask for fewer gradients, allow more megabytes, or use least-squares"
            )

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        """Return the part's weight moved to where the loss rises least without its removed inputs."""
        shares = statistics.get(f"{part.path}.gradients")
        if shares is None:
            return {}
        inputs = inputs_of(part, kept)
        if not inputs.going.size:
            return {}
        weight = unpruned[f"{part.path}.weight"]
        every = as_filters(part, weight)
        numbers = torch.arange(every.shape[0] * every.shape[1]).reshape(*every.shape[:2], 1, 1)
        rows = staying_filters(part, numbers, kept).flatten()
        filters = every.flatten(0, 1)[rows]
        going = torch.zeros(filters.shape[1:], dtype=torch.float64)
        going[inputs.going] = 1
        some = [
            self._moved(part, filters[own].flatten(1), going.flatten(), rows[own], statistics)
            for own in torch.split(torch.arange(len(rows)), self._at_once(shares))
        ]
        changed = torch.cat(some).reshape(every.shape[0], -1, *every.shape[2:])[:, :, inputs.staying]
        return {f"{part.path}.weight": as_weight(part, changed, weight)}

    @staticmethod
    def _at_once(shares: NDArray[np.generic]) -> int:
        """Return for how many filters at once gradients are turned into 64 bits."""
        return max(1, _AT_ONCE // max(1, int(np.prod(shares.shape[1:]))))

    def _moved(
        self, part: Part, filters: torch.Tensor, going: torch.Tensor, rows: torch.Tensor, statistics: Statistics
    ) -> torch.Tensor:
        """Return filters of shape (filters, weights) with those weights moved that stay.

        `going` is 1 for weights that go, shape (weights,); `rows` are the filters' numbers in the statistics.
        """
        own = rows.numpy()
        shares, scale = statistics[f"{part.path}.gradients"][own], statistics[f"{part.path}.scale"][own]
        gradients = torch.from_numpy(shares).double() * torch.from_numpy(scale)[..., None, None]
        length = gradients.shape[-1]
        weights = torch.from_numpy(blocked(filters.numpy(), length))
        gone = torch.from_numpy(blocked(going.numpy(), length))
        if self._update == "joint":
            moved = jointly_moved(gradients, weights, gone.expand_as(weights), self._damping)
        else:
            diagonal = torch.from_numpy(statistics[f"{part.path}.diagonal"][own]).double()
            moved = separately_moved(gradients, weights, gone, diagonal, self._damping)
        return moved.flatten(1)[:, : filters.shape[1]]
