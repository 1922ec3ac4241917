"""Outgoing weights of removed units handed to the units that stay and are most like them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch

from emoprune.contracts import Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import as_filters, as_weight, inputs_of, staying_filters
from emoprune.problems.networks.calibration.hooks import readers
from emoprune.problems.networks.calibration.moments import Moments, channel_moments, within
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.coupling.structure import Kept, Part
from emoprune.space import IntArray

__all__ = ["Merge"]


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the calibration images, and a comparison of all input channels of a layer",
    papers=[Paper("Methods for Pruning Deep Neural Networks", "2011.00241")],
)
class Merge:
    """Add the weights that read a removed unit to those that read the kept unit most like it.

    Alike is what a layer reads of two units on calibration images, after batch norm and activation: removed values x_j
    are best foretold from kept ones x_i as a x_i, or as a x_i + b by a layer that has a bias to take b. The kept unit
    with the smallest mean squared error takes the weights over, times a. So a is the ratio of the two units' norms
    when they are proportional, and whatever scale and shift batch norm has put between two equal filters is in it.

    Exact when x_j = a x_i everywhere, as for duplicated units, and then the pruned network's outputs do not change; an
    equal shift b is exact only without padding, which is 0 in both channels. A layer norm over the units is not exact
    either: it sees fewer of them. Depthwise convolutions have no weights to hand over.

    After the merging of similar units in Vadera and Ameen, Methods for Pruning Deep Neural Networks, arXiv 2011.00241.

    Args:
        places_per_image: How many places of each calibration image are looked at.
        most_channels: The most input channels of a layer that are compared; wider layers are left as they are.
    """

    leaf: ClassVar[str] = "filter ranking/weight correlation"

    def __init__(self, *, places_per_image: int = 64, most_channels: int = 4608) -> None:
        if places_per_image < 1:
            raise ConfigError(f"places_per_image: expected 1 or more, found {places_per_image}")
        self._places_per_image = places_per_image
        self._most_channels = most_channels

    def statistics(self, evidence: Evidence) -> Statistics:
        """Return how alike the channels are that each layer reads, as `<path>.alike`, shape (groups, c + 1, c + 1)."""
        parts = readers(evidence.structure)
        widths = [len(part.incoming or ()) // part.conv_groups for part in parts]
        compared = within(parts, widths, self._most_channels, "merge")
        gathered = channel_moments(evidence, compared, self._places_per_image)
        return {f"{part.path}.alike": moments for part, moments in gathered}

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        """Return the part's weight with what its removed inputs handed over, and its shifted bias if it has one."""
        moments = statistics.get(f"{part.path}.alike")
        if moments is None:
            return {}
        inputs = inputs_of(part, kept)
        if not inputs.going.size:
            return {}
        weight, bias = unpruned[f"{part.path}.weight"], unpruned.get(f"{part.path}.bias")
        filters = staying_filters(part, as_filters(part, weight), kept)
        heirs, factors, shifts = _heirs(moments, inputs.staying, inputs.going, shifting=bias is not None)
        going = filters[:, :, inputs.going]
        handed_over = torch.zeros((len(filters), len(inputs.going), len(inputs.staying)), dtype=torch.float64)
        handed_over.scatter_(2, heirs.unsqueeze(2), factors.unsqueeze(2))
        changed = filters[:, :, inputs.staying] + torch.einsum("gojt,gji->goit", going, handed_over)
        found = {f"{part.path}.weight": as_weight(part, changed, weight)}
        if bias is not None:
            staying = bias.detach() if part.outgoing is None else bias.detach()[part.outgoing.staying(kept)]
            gained = torch.einsum("gojt,gj->go", going, shifts).flatten()
            found[f"{part.path}.bias"] = staying + gained.to(bias)
        return found


def _heirs(
    moments: Moments, staying: IntArray, going: IntArray, *, shifting: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return for each removed channel the place of the kept one it goes to, the factor and the shift.

    All of shape (convolution groups, removed channels).
    """
    means = moments[:, -1, :-1]
    alike = moments[:, :-1, :-1] - (means[:, :, np.newaxis] * means[:, np.newaxis] if shifting else 0.0)
    across = alike[:, going[:, np.newaxis], staying]
    own = np.maximum(alike[:, staying, staying], 0.0)[:, np.newaxis]
    # A constant channel has nothing but rounding errors left after its mean: it foretells nothing.
    telling = own > 1e-12 * moments[:, staying, staying][:, np.newaxis]
    factor = np.divide(across, own, out=np.zeros_like(across), where=telling)
    heirs = np.argmax(factor * across, axis=2)  # by so much a x_i lowers the mean square of x_j
    factors = np.take_along_axis(factor, heirs[:, :, np.newaxis], axis=2)[:, :, 0]
    shifts = means[:, going] - factors * np.take_along_axis(means[:, staying], heirs, axis=1)
    if not shifting:
        shifts = np.zeros_like(shifts)
    return torch.from_numpy(heirs), torch.from_numpy(factors), torch.from_numpy(shifts)
