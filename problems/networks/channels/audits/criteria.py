"""Which criterion is best for this network: each of them put to use on the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr
from torch import nn

from emoprune import plugins
from emoprune.contracts import Audit, Finding, FloatArray, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.criteria.by_name import CHANNELS, criterion_named
from emoprune.problems.networks.criteria.scoring import group_scores
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Criteria"]

CONTROL = "random"


@dataclass(frozen=True, slots=True, eq=False)
class _LeftOut:
    """Some units of each coupling group, and by how much the loss rises without each of them."""

    units: Sequence[IntArray]
    rises: Sequence[FloatArray]

    def agreement(self, scores: Sequence[Scores]) -> float | None:
        """Return Spearman's correlation of scores with the rises, mean over the groups in which it is defined."""
        found = [
            float(spearmanr(own[units], rises).statistic)
            for own, units, rises in zip(scores, self.units, self.rises, strict=True)
            if len(units) > 2 and np.ptp(rises) > 0 and np.ptp(own[units]) > 0
        ]
        return float(np.mean(found)) if found else None


@about(
    "audit",
    ["channels"],
    serves=("channels",),
    cost="every criterion once, and for each as many networks as there are shares and candidates",
    papers=[Paper("Methods for Pruning Deep Neural Networks", "2011.00241")],
    gradients=True,
)
@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Rank the units by every installed criterion, prune by each to the same widths, and measure; nothing is trained.

    The widths are the same share everywhere, and those of the front. Beside the errors stands how well scores agree
    with what the loss rises by when a unit alone is left out. A random order is the control. Source of the complaint
    that such numbers cannot be compared from paper to paper: Vadera and Ameen, Methods for Pruning Deep Neural
    Networks, arXiv 2011.00241.

    Args:
        shares: Of the units of every coupling group that stay.
        units: Of each coupling group that are left out one at a time.
        criteria: Their names; all that serve channels if none is named.
    """

    shares: Sequence[float] = (0.75, 0.5, 0.25)
    units: int = 6
    criteria: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.shares or any(not 0 < share < 1 for share in self.shares) or self.units < 0:
            raise ConfigError("criteria: expected shares between 0 and 1, and 0 or more units")
        for name in self.criteria:
            criterion_named(name, CHANNELS)

    def __call__(self, front: ChannelFront) -> Audit:
        """Return the errors on the test part by criterion and widths, and what is the best of them."""
        bench, structure = front.bench, front.bench.structure
        evidence = Evidence(bench.network, structure, bench.calibration, front.seed)
        uniform = np.array([[self._near(own, share) for own in front.table] for share in self.shares], dtype=np.int64)
        rows, errors = list[dict[str, str | float | None]](), dict[str, float]()
        left_out = self._left_out(front)
        for name in self.criteria or _all():
            scores = group_scores(criterion_named(name, CHANNELS), evidence, structure.units)
            even, found = (_errors(front, scores, widths) for widths in (uniform, front.widths))
            errors[name] = float(np.mean([*even, *found]))
            row: dict[str, str | float | None] = {"criterion": name}
            row |= {f"error at {share:.0%}": round(own, 4) for share, own in zip(self.shares, even, strict=True)}
            row["error along the front"] = round(float(np.mean(found)), 4)
            agreement = left_out.agreement(scores)
            row["agreement with leaving out"] = None if agreement is None else round(agreement, 3)
            rows.append(row)
        rows.sort(key=lambda own: errors[str(own["criterion"])])
        best, control = str(rows[0]["criterion"]), errors.get(CONTROL)
        sentence = f"At the same widths {best} has the lowest mean error on this network, {errors[best]:.2%}"
        sentence += "." if control is None else f"; a random order has {control:.2%}."
        lost = best == CONTROL
        finding = Finding("best criterion", errors[best], None, None, lost, sentence)
        return Audit([finding], {"criteria": rows})

    @staticmethod
    def _near(table: IntArray, share: float) -> int:
        return int(table[np.abs(table - share * table[-1]).argmin()])

    def _left_out(self, front: ChannelFront) -> _LeftOut:
        structure, rng = front.bench.structure, np.random.default_rng(front.seed)
        slicer = front.slicer_of(front.scores)
        whole = _losses(front, [slicer.variant(np.array(structure.units))])[0]
        units, rises = [], []
        for group, count in enumerate(structure.units):
            chosen = np.sort(rng.permutation(count)[: self.units if count > 1 else 0])
            without = [slicer.variant_of(_without(structure.full, group, int(unit))) for unit in chosen]
            units.append(chosen)
            rises.append(_losses(front, without) - whole if without else np.zeros(0))
        return _LeftOut(units, rises)


def _without(full: Kept, group: int, unit: int) -> Kept:
    return [np.delete(own, unit) if place == group else own for place, own in enumerate(full)]


def _all() -> list[str]:
    """Return the names of all installed criteria that rank the channels of a network."""
    found = []
    for name in plugins.available("criterion"):
        try:
            criterion_named(name, CHANNELS)
        except ConfigError:
            continue  # it ranks the parts of other problems
        found.append(name)
    return found


def _runner(front: ChannelFront) -> PlainRunner:
    """Return a runner that takes nothing for known: the search's takes networks of equal widths for equal."""
    return PlainRunner(front.bench, AdaptiveBatchNorm())


def _errors(front: ChannelFront, scores: Sequence[Scores], widths: IntArray) -> list[float]:
    slicer, labels = front.slicer_of(scores), front.bench.images[Split.TEST].labels
    outputs = _runner(front).outputs([slicer.variant(own) for own in widths], Split.TEST)
    return [float((own.argmax(dim=1) != labels).float().mean()) for own in outputs]


def _losses(front: ChannelFront, variants: Sequence[Variant]) -> FloatArray:
    labels = front.bench.images[Split.SEARCH].labels
    outputs = _runner(front).outputs(variants, Split.SEARCH)
    return np.array([float(nn.functional.cross_entropy(own.double(), labels)) for own in outputs])
