"""Units ranked by the scale that their normalisation gives them."""

from __future__ import annotations

from typing import ClassVar

from emoprune.contracts import Paper, about
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.coupling.pruned_module import family_of
from emoprune.problems.networks.criteria.norms import L1
from emoprune.problems.networks.criteria.per_unit import averaged, shares, units_by_part

__all__ = ["BatchNormScale"]

_NORMS = frozenset({"BatchNorm", "GroupNorm", "LayerNorm"})


@about(
    "pruning",
    ["channels"],
    serves=["channels", "subnetworks"],
    cost="one pass over the scales",
    papers=[Paper("Learning Efficient Convolutional Networks through Network Slimming", "1708.06519")],
)
class BatchNormScale:
    """Absolute scale of a unit's channels in the normalisations that they pass, batch norms above all.

    Where a group passes several, each one's values are made shares of their sum first, and then averaged. A group that
    passes none with scales is ranked by L1. Source: 'Learning Efficient Convolutional Networks through Network
    Slimming', 1708.06519; the network is taken as it was trained, without that paper's penalty on the scales.
    """

    leaf: ClassVar[str] = "regularisation/batch-norm scale"

    def __call__(self, evidence: Evidence) -> list[Scores]:
        """Return each unit's share of the scales of its coupling group, or of its L1 norms."""
        structure = evidence.structure
        by_part = units_by_part(structure, _scales(evidence), "out")
        norms = L1()(evidence)
        return [
            averaged([shares(own) for own in parts or [norm]], group.units)
            for parts, norm, group in zip(by_part, norms, structure.groups, strict=True)
        ]


def _scales(evidence: Evidence) -> dict[str, Scores]:
    found = {}
    for part in evidence.structure.parts:
        if family_of(part) in _NORMS:
            weight = dict(evidence.network.get_submodule(part.path).named_parameters(recurse=False)).get("weight")
            if weight is not None:
                found[part.path] = weight.detach().abs().double().cpu().numpy()
    return found
