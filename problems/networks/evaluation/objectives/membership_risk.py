"""How well an attacker tells training images from others."""

from __future__ import annotations

from typing import ClassVar

import torch
from scipy.stats import rankdata
from torch import nn

from emoprune.contracts import Direction, FloatArray, Paper, about
from emoprune.problems.networks.evaluation.objectives.contract import CONVOLUTIONAL, Needs, Seen

__all__ = ["MembershipRisk", "attack_auc", "losses_of"]


@about(
    "measurement",
    ["network"],
    serves=CONVOLUTIONAL,
    cost="one pass over the images, and one over the calibration images",
    papers=[Paper("Against Membership Inference Attack: Pruning is All You Need", "2008.13578")],
)
class MembershipRisk:
    """Area under the curve of an attack that takes images with a low loss for training images, 0.5 is chance.

    Members are the calibration images, which are training images; the others are those of the part that is measured.
    An attack that is fixed can be gamed by the search: the audit `membership-risk` asks again, with images that chose
    nothing and with shadow models. A dense network that is trained with more weight decay may leak as little. Source of
    the question: Against Membership Inference Attack: Pruning is All You Need, arXiv 2008.13578, which prunes with a
    method of its own.
    """

    unit = ""
    direction = Direction.MINIMISE
    needs: ClassVar[Needs] = "outputs"
    quality: ClassVar[bool] = False
    worst: ClassVar[float] = 1.0

    def __call__(self, seen: Seen) -> float:
        """Return the area, from 0.5 to 1: an attack that is worse than chance is turned round."""
        members = seen.members
        outputs = []
        with torch.no_grad():
            outputs = [seen.network(batch) for batch in members.batches]
        area = attack_auc(losses_of(torch.cat(outputs), members.labels), losses_of(seen.outputs, seen.labels))
        return max(area, 1 - area)


def losses_of(outputs: torch.Tensor, labels: torch.Tensor) -> FloatArray:
    """Return each image's cross-entropy, shape (images,), in 64 bits."""
    found: FloatArray = nn.functional.cross_entropy(outputs.double(), labels, reduction="none").cpu().numpy()
    return found


def attack_auc(members: FloatArray, others: FloatArray) -> float:
    """Return how often a member's loss is below another image's, ties counting half; shapes (n,) and (m,)."""
    ranks = rankdata([*members, *others])[: len(members)].sum()
    above = ranks - len(members) * (len(members) + 1) / 2  # pairs in which the member's loss is the larger one
    return 1.0 - float(above) / (len(members) * len(others))
