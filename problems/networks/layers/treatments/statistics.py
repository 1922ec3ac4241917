"""What is measured once of a network's layers for a repair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.moments import patch_moments, width_of_filters
from emoprune.problems.networks.calibration.weight_gradients import gradients_of_weights
from emoprune.problems.networks.coupling.structure import Part
from emoprune.problems.networks.layers.treatments.repaired import repair_needs

__all__ = ["GRADIENTS", "statistics_for"]

ROWS_PER_WEIGHT = 4.0  # places that are read for every weight of a filter, as far as the images have them
GRADIENTS = 64  # each over its own images
MOST = 2**30  # bytes that may be kept


def statistics_for(repair: object, evidence: Evidence, parts: Sequence[Part]) -> dict[str, NDArray[Any]]:
    """Return by `<path>.moments` and `<path>.gradients` what a repair asks for, in 64 and 32 bits.

    Raises:
        ConfigError: It would take more than a GiB.
    """
    needs, found = repair_needs(repair), dict[str, NDArray[Any]]()
    sizes = {
        "moments": sum(8 * part.conv_groups * (width_of_filters(part) + 1) ** 2 for part in parts),
        "gradients": sum(
            4 * GRADIENTS * evidence.network.get_parameter(f"{part.path}.weight").numel() for part in parts
        ),
    }
    wanted = sum(sizes[need] for need in needs)
    if wanted > MOST:
        raise ConfigError(
            f"repair: what it needs of this network's layers would take {wanted / 2**20:,.0f} MiB, expected at most "
            f"{MOST // 2**20:,}; leave the widest layers out with `ignore`, or take repair: none"
        )
    if "moments" in needs:
        found |= {f"{part.path}.moments": own for part, own in patch_moments(evidence, parts, ROWS_PER_WEIGHT)}
    if "gradients" in needs:
        for part, own in gradients_of_weights(evidence, parts, GRADIENTS):
            found[f"{part.path}.gradients"] = own.astype(np.float32)
    return found
