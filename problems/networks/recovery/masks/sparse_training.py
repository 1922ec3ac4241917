"""Training from initialisation at a candidate's ratios: do the ratios matter, or which weights they leave?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from emoprune.contracts import Paper, about
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.masks.contract import largest
from emoprune.problems.networks.recovery.masks.training import MaskableRounds
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.rounds.stage import best_stage
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["SparseTraining", "Which", "train_sparse"]

Which = Literal["random", "smallest-first"]


class FromInitialisation(Protocol):
    """A pruned network whose ratios can be trained from weights that are drawn anew."""

    def from_initialisation(self, which: Which, by: str) -> Any:
        """Return what became of it, as a recovery returns it."""
        ...


@about(
    "recovery",
    ["weights", "channels"],
    serves=("channels", "weight-ratios"),
    papers=[Paper("Why Random Pruning Is All We Need to Start Sparse", "2210.02412")],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, from weights that are drawn anew",
)
@dataclass(frozen=True, slots=True)
class SparseTraining:
    """Trains a candidate's ratios from initialisation, which weights they leave drawn at random.

    Nothing of the trained weights is used: what comes out says what the ratios alone are worth, such as those of the
    references erk, balanced and pyramidal. Source: Gadhikar et al., Why Random Pruning Is All We Need to Start Sparse,
    arXiv 2210.02412.

    Args:
        which: random, or smallest-first: what goes is what goes of the unpruned network, as the control.
    """

    which: Which = "random"

    def __call__(self, case: FromInitialisation) -> Any:
        """Return the trained network, with its weights that were best on select."""
        return case.from_initialisation(self.which, "sparse-training")


class PrunedAtOnce(MaskableRounds, Protocol):
    """What can be masked, and which of it goes by itself."""

    def masks(self, share: float) -> Masks:
        """Return what is zero once a share of all pruning is due; decided on the model as it is."""
        ...


def train_sparse(
    pruned: PrunedAtOnce, lessons: Lessons, which: Which, seed: int, *, macs: float = 0.0, label: str = "training"
) -> Spent:
    """Decide what goes, draw the weights of `pruned.model` anew, and train what is left in place.

    Args:
        pruned: The unpruned network, and how much of it stays.
        lessons: What it is trained on.
        which: What goes: at random, or as the unpruned network's weights say.
        seed: All randomness.
        macs: Multiply-accumulates of one example's forward pass.
        label: What errors begin with.

    Raises:
        ConfigError: The loss is no longer finite.
    """
    generator = torch.Generator().manual_seed(seed)
    if which == "random":
        every = [(each, torch.rand((each.rows, each.columns), generator=generator)) for each in pruned.maskables()]
        masks = pruned.decide([largest(drawn, each.keep) for each, drawn in every])
    else:
        masks = pruned.masks(1.0)
    pruned.model.load_state_dict(drawn_anew(pruned.model, seed).state_dict())
    return best_stage(pruned.model, lessons, seed, masks=masks, macs=macs, label=label)
