"""Has the search reached a size that is known to lose nothing?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Audit, Cell, Finding, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.dependence import contributions_of_units, elimination, free_widths
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.scoring import outputs_of
from emoprune.records import Split

__all__ = ["ExactMinimum"]


@about(
    "audit",
    ["channels"],
    serves=("channels",),
    cost="moments of the calibration images, and every candidate measured on the search part",
    papers=[Paper("Optimal Sets and Solution Paths of ReLU Networks", "2306.00119")],
)
@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMinimum:
    """Hold the front against the widths to which the network can be squeezed without a change of its outputs.

    Of each coupling group, the units that stay when all that are sums of others, scaled, are merged, are an upper bound
    of what is needed: a search must find a network that is no larger and no worse. Exact on the calibration images, and
    a group at a time. On trained networks most bounds are the full widths. Source: Mishkin and Pilanci, Optimal Sets
    and Solution Paths of ReLU Networks, arXiv 2306.00119.

    Args:
        allowed: By how much a candidate's error may lie above the unpruned network's and still be as good.
    """

    allowed: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.allowed < 1:
            raise ConfigError(f"allowed: expected an error from 0 to below 1, found {self.allowed}")

    def __call__(self, front: ChannelFront) -> Audit:
        """Return whether the smallest candidate that is as good as the unpruned network is within the known minimum."""
        bench = front.bench
        evidence = Evidence(bench.network, bench.structure, bench.calibration, front.seed)
        least = free_widths([elimination(products) for products in contributions_of_units(evidence)])
        reachable = np.array([own[np.searchsorted(own, width)] for own, width in zip(front.table, least, strict=True)])
        model, images = CostModel.of(bench.network, bench.structure), bench.images[Split.SEARCH]
        known, full = (float(model.macs(np.atleast_2d(own))[0]) for own in (reachable, bench.structure.units))
        slicer = front.slicer_of(front.scores)
        outputs = [outputs_of(bench.network, images)]
        outputs += front.runner.outputs([slicer.variant(own) for own in front.widths], Split.SEARCH)
        errors = [float((own.argmax(dim=1) != images.labels).float().mean()) for own in outputs]
        costs = model.macs(front.widths)
        good = [float(cost) for cost, error in zip(costs, errors[1:], strict=True) if error <= errors[0] + self.allowed]
        found = min(good, default=full)
        reached = found <= known
        sentence = (
            f"The network can be squeezed to {known / full:.1%} of its multiply-accumulates without a change on the "
            f"calibration images; the smallest candidate that errs no more than the unpruned network's {errors[0]:.2%} "
            f"takes {found / full:.1%}: " + ("the search is there." if reached else "the search has missed it.")
        )
        if known == full:
            sentence = "No unit of this network is a sum of others on the calibration images: nothing is free."
        rows: list[dict[str, Cell]] = [
            {"coupling group": group.name, "units": group.units, "needed at most": int(width)}
            for group, width in zip(bench.structure.groups, least, strict=True)
        ]
        finding = Finding("known minimum", found / full, None, None, not reached and known < full, sentence)
        return Audit([finding], {"widths that lose nothing": rows})
