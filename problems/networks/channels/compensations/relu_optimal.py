"""Units that stay scaled, so that together they add up to what all units added up to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.dependence import ROWS_PER_WEIGHT, WIDEST, factors_for, products_of_channels
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters, as_weight, inputs_of, staying_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.moments import patch_moments, width_of_filters, within
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.coupling.structure import Kept, Part

__all__ = ["ReLUOptimalScaling"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="moments of one pass over the calibration images, and a solve for each layer and width",
    papers=[Paper("Optimal Sets and Solution Paths of ReLU Networks", "2306.00119")],
)
class ReLUOptimalScaling:
    """One factor of 0 or more for each channel that stays, by least squares to what the layer put out.

    Exact where the channels that go are sums of those that stay, in the order of the criterion of the same name: then
    it is a lossless squeeze. Moving on from there it changes less than least squares for every weight, and keeps what a
    penalty on weights asks for. Source: Mishkin and Pilanci, Optimal Sets and Solution Paths of ReLU Networks, arXiv
    2306.00119.
    """

    leaf: ClassVar[str] = "filter ranking/activation of the next layer"

    def statistics(self, evidence: Evidence) -> Statistics:
        """Return by `<path>.products` what two inputs add to the outputs, shape (groups, channels, channels)."""
        parts = [part for part in readers(evidence.structure) if not part.kind.startswith("ConvTranspose")]
        known = within(parts, [width_of_filters(part) for part in parts], WIDEST, "relu-optimal")
        return {
            f"{part.path}.products": products_of_channels(
                part, evidence.network.get_parameter(f"{part.path}.weight"), moments
            ).numpy()
            for part, moments in patch_moments(evidence, known, ROWS_PER_WEIGHT)
        }

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        """Return the part's weight with each input that stays scaled."""
        products = statistics.get(f"{part.path}.products")
        if products is None:
            return {}
        inputs = inputs_of(part, kept)
        if not inputs.going.size or not inputs.staying.size:
            return {}
        weight = unpruned[f"{part.path}.weight"]
        filters = staying_filters(part, as_filters(part, weight), kept)[:, :, inputs.staying]
        factors = torch.stack([torch.from_numpy(factors_for(own, inputs.staying)) for own in products])
        return {f"{part.path}.weight": as_weight(part, filters * factors[:, None, :, None], weight)}
