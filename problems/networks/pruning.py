"""From widths to a network that runs: rank, slice, build, and estimate the batch-norm statistics anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.architecture import Architecture, Layer, Tensors, build
from emoprune.problems.networks.criteria.ranking import Scores, kept_channels
from emoprune.problems.networks.proxies.adaptive_batch_norm import reestimate_statistics
from emoprune.problems.networks.slicing import slice_network
from emoprune.space import IntArray

__all__ = ["PrunedNetwork", "Pruner"]


@dataclass(frozen=True, slots=True, eq=False)
class PrunedNetwork:
    """A network that is smaller for real, its layers, and for each prunable layer the channels that stayed."""

    layers: tuple[Layer, ...]
    network: nn.Sequential
    kept: tuple[IntArray, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pruner:
    """The unpruned network on its device, loaded once, and what it takes to cut any smaller one out of it.

    `scores` rank the channels of each prunable layer; `calibration` holds batches of images.
    """

    architecture: Architecture
    tensors: Tensors
    scores: Sequence[Scores]
    calibration: Sequence[torch.Tensor]

    def pruned(self, widths: IntArray) -> PrunedNetwork:
        """Return the network of these widths, shape (prunable layers,), ready to be scored.

        At full widths it is the unpruned network as it was given, with its own batch-norm statistics.

        Raises:
            ContractError: A layer did not come out as wide as it was decoded.
        """
        kept = tuple(kept_channels(scores, int(width)) for scores, width in zip(self.scores, widths, strict=True))
        layers, tensors = slice_network(self.architecture, self.tensors, kept)
        network = build(layers, tensors)
        self._check_realised(network, widths)
        if tuple(widths.tolist()) != self.architecture.widths:
            reestimate_statistics(network, self.calibration)
        return PrunedNetwork(layers, network, kept)

    def _check_realised(self, network: nn.Sequential, widths: IntArray) -> None:
        shapes = {name: tensor.shape for name, tensor in network.named_parameters()}
        for position, width in zip(self.architecture.prunable, widths.tolist(), strict=True):
            realised = shapes[f"{position}.weight"][0]
            if realised != width:
                path = self.architecture.layers[position].path
                raise ContractError(f"layer {path!r}: decoded to {width} channels, but the built one has {realised}")
