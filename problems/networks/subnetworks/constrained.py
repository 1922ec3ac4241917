"""Constraint training as a recovery: each part towards the features that the unpruned part gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from emoprune.contracts import Paper, about
from emoprune.problems.networks.coupling.structure import Kept
from emoprune.problems.networks.recovery.contract import NetworkCase
from emoprune.problems.networks.subnetworks.training import Constraint, Order
from emoprune.problems.networks.subnetworks.turns import Turns

__all__ = ["Constrained", "SubnetworkCase"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SubnetworkCase(NetworkCase):
    """A network that was pruned part by part.

    Attributes:
        turns: Knows the parts, and trains each in its turn.
        kept: The units of each coupling group that stay.
    """

    turns: Turns
    kept: Kept


@about(
    "recovery",
    ["sub-networks"],
    serves=("subnetworks",),
    cost="a training of so many epochs, split evenly among the parts unless they are trained together",
    papers=[Paper("An EMO Joint Pruning with Multiple Sub-networks", "2303.16212")],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class Constrained:
    """Train parts towards the labels and the features that the unpruned parts put out, together or in turn.

    After Shang et al., arXiv 2303.16212; a reconstruction, as `training` says.

    Args:
        feature_weight: How much the unpruned part's features count beside the labels.
        order: In which order parts are trained: together, forward or backward.

    Raises:
        ConfigError: One of them cannot be used.
    """

    feature_weight: float = 10.0
    order: Order = "together"

    def __post_init__(self) -> None:
        Constraint(self.feature_weight, self.order)

    def __call__(self, case: SubnetworkCase) -> nn.Module:
        """Return the network with the weights of each part that were best on `select`, its statistics estimated anew.

        Raises:
            ConfigError: The training diverged.
        """
        return case.turns.trained(case.kept, case.plan, Constraint(self.feature_weight, self.order), case.seed)
