"""How much of what stays depends on the calibration sample: the same counts, ranked on other texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Audit, Finding, about
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.contract import TransformerFront
from emoprune.problems.networks.transformers.data.batches import CALIBRATION
from emoprune.problems.networks.transformers.genes import Orders

__all__ = ["Changed", "Samples", "changed_by", "sensitivity_findings"]

MUCH = 0.5  # of what chance changes: beyond it the calibration sample decides as much as the model does


@about(
    "audit", ["heads", "neurons"], serves=["heads-and-neurons"], cost="one ranking of all units for each sample or text"
)
@dataclass(frozen=True, slots=True)
class Samples:
    """Would the same units stay if they were calibrated on other samples of the data, or on other data?

    Args:
        samples: How many other samples of the training part, each as large as the calibration part.
        other_data: A text, or a table or images with the same classes; by default Python's own source code for a
            language model, and nothing for a classifier.
    """

    samples: int = 2
    other_data: str | None = None

    def __call__(self, front: TransformerFront) -> Audit:
        """Return for each sample which share of the units that stay would be others."""
        wanted = len(front.opened.task.parts[CALIBRATION])
        # A language model's training part begins with the calibration windows themselves.
        rest = front.opened.train[wanted:] if front.options.task == "language-modelling" else front.opened.train
        same = [rest[number * wanted : (number + 1) * wanted] for number in range(self.samples)]
        rankings = [front.orders(own) for own in same if len(own) == wanted]
        elsewhere = front.elsewhere(self.other_data)
        other = {name: front.orders(batches[:wanted]) for name, batches in elsewhere.items()}
        findings, rows = sensitivity_findings(list(front.plans.values()), front.opened.anatomy.units, rankings, other)
        return Audit(findings, {"other calibration": rows} if rows else {})


@dataclass(frozen=True, slots=True)
class Changed:
    """The share of kept heads and neurons that would be others: by another ranking, and by chance."""

    share: float
    chance: float


def changed_by(plans: Sequence[BlockPlan], units: Sequence[int], orders: Orders) -> Changed:
    """Return how much of what the plans keep would be others if `orders` ranked the units.

    Only groups of which a part is kept count, by their kept units. Source of the question: Deep Language Geometry,
    which compares masks of one model that were calibrated on different languages.

    Args:
        plans: One per layer.
        units: How many units each group has.
        orders: Another ranking.
    """
    different, chance, total = 0.0, 0.0, 0
    for number, plan in enumerate(plans):
        for group, kept in ((2 * number, plan.heads), (2 * number + 1, plan.neurons)):
            if plan.kept and 0 < len(kept) < units[group]:
                other = orders[group][: len(kept)]
                different += len(kept) - len(np.intersect1d(kept, other))
                chance += len(kept) * (1 - len(kept) / units[group])
                total += len(kept)
    return Changed(different / max(1, total), chance / max(1, total))


def sensitivity_findings(
    plans: Sequence[Sequence[BlockPlan]], units: Sequence[int], same: Sequence[Orders], other: Mapping[str, Orders]
) -> tuple[list[Finding], list[dict[str, str | float | int | None]]]:
    """Return what other calibration samples would change along the front, and the table behind it.

    Args:
        plans: Of each candidate.
        units: How many units each group has.
        same: Rankings on other samples of the same text.
        other: Rankings on other texts, by name.
    """
    named = [(f"sample {number + 2} of the same text", orders) for number, orders in enumerate(same)]
    named += list(other.items())
    rows: list[dict[str, str | float | int | None]] = []
    by_name: dict[str, list[Changed]] = {}
    for number, own in enumerate(plans):
        for name, orders in named:
            changed = changed_by(own, units, orders)
            by_name.setdefault(name, []).append(changed)
            rows.append(
                {
                    "number": number + 1,
                    "calibrated on": name,
                    "units that would be others": round(changed.share, 4),
                    "by chance": round(changed.chance, 4),
                }
            )
    findings = [_finding(name, found) for name, found in by_name.items()]
    return findings, rows


def _finding(name: str, found: Sequence[Changed]) -> Finding:
    shares, chance = [own.share for own in found], float(np.mean([own.chance for own in found]))
    mean = float(np.mean(shares))
    alarm = mean > MUCH * chance > 0
    verdict = (
        "the calibration sample decides much of what stays: give more of it"
        if alarm
        else "what stays is a property of the model, not of the sample"
    )
    sentence = (
        f"Calibrated on {name}, {mean:.0%} of the heads and neurons that stay would be others "
        f"({min(shares):.0%} to {max(shares):.0%} along the front; a draw by chance would change {chance:.0%}): "
        f"{verdict}."
    )
    return Finding(f"masks, {name}", mean, min(shares), max(shares), alarm, sentence)
