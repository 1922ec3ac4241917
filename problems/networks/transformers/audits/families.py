"""Families of compression at their real bytes: pruning, rounding, low rank, dropped layers, and two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emoprune.contracts import Audit, Finding, about
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.compressing import Compressed, Compressor
from emoprune.problems.networks.transformers.audits.contract import TransformerFront

__all__ = ["Families", "families_findings"]


@about(
    "audit",
    ["heads", "neurons", "layers", "weights"],
    serves=["heads-and-neurons"],
    cost="about ten more models, and three more for each candidate, measured on the test part",
)
class Families:
    """Are other families of compression better than the front at equal bytes of their real files?"""

    def __call__(self, front: TransformerFront) -> Audit:
        """Return for each family how many candidates it beats, and all models in one table."""
        named = {f"candidate {number}": own for number, own in front.plans.items()}
        made = Compressor(front.opened, front.adjust(), front.value)
        found = [made.unpruned(), *made.pruned(named), *made.rounded(), *made.low_rank()]
        found += [*made.pruned(_dropped(front), "dropping layers"), *made.mixed(named)]
        findings, rows = families_findings(found, front.quality)
        return Audit(findings, {"families at their real bytes": rows})


def _dropped(front: TransformerFront) -> dict[str, list[BlockPlan]]:
    anatomy = front.opened.anatomy
    number = len(anatomy.blocks)
    return {
        f"the last {gone} of {number} layers": [
            BlockPlan(("gone",), False, own.heads, own.neurons) if place >= number - gone else own
            for place, own in enumerate(anatomy.whole(each) for each in range(number))
        ]
        for gone in sorted({max(1, number // 8), max(1, number // 4)})
        if gone < number
    }


def families_findings(found: Sequence[Compressed], quality: Quality) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Say where pruning loses: which of the pruned models another family beats in both bytes and quality."""
    rows = [
        {
            "family": own.family,
            "what": own.name,
            "file bytes": own.file_bytes,
            "share": round(own.file_bytes / found[0].file_bytes, 4),
            f"{quality.name} on test": round(own.quality, 5),
        }
        for own in sorted(found, key=lambda each: -each.file_bytes)
    ]
    findings = []
    pruned = [own for own in found if own.family == "pruning"]
    for family in dict.fromkeys(own.family for own in found[1:] if own.family != "pruning"):
        rivals = [own for own in found if own.family == family]
        beaten = [own for own in pruned if any(_beats(rival, own, quality) for rival in rivals)]
        share = len(beaten) / max(1, len(pruned))
        sentence = (
            f"{family.capitalize()} gives fewer bytes and a {quality.better} {quality.name} than {len(beaten)} of the "
            f"{len(pruned)} pruned models: "
            + ("pruning alone is the wrong tool there." if beaten else "pruning holds its own.")
        )
        findings.append(Finding(f"beaten by {family}", share, None, None, alarm=share > 0, sentence=sentence))
    return findings, rows


def _beats(one: Compressed, other: Compressed, quality: Quality) -> bool:
    own, others = quality.minimised(np.array([one.quality, other.quality]))
    no_worse = one.file_bytes <= other.file_bytes and own <= others
    return bool(no_worse and (one.file_bytes < other.file_bytes or own < others))
