"""What a recovery is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from emoprune.errors import ContractError
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.masks.contract import SoftMask
from emoprune.problems.networks.recovery.masks.sparse_training import Which, train_sparse
from emoprune.problems.networks.recovery.masks.training import MaskableRounds, train_with_masks
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.images import ImageLessons
from emoprune.problems.networks.recovery.rounds.lessons import Lessons
from emoprune.problems.networks.recovery.rounds.stage import best_stage
from emoprune.problems.networks.recovery.rounds.trainer import Course, Rounds, train_in_rounds
from emoprune.problems.networks.recovery.spent import Spent
from emoprune.records import Split

__all__ = ["NetworkCase", "NetworkRounds"]


class NetworkRounds(Rounds, MaskableRounds, Protocol):
    """The unpruned network, pruned in rounds until it keeps as much as a candidate."""

    def recovered(self) -> nn.Module:
        """Return the network with what is zero taken away, where the candidate's shapes are smaller."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCase:
    """A pruned network to win back: what a recovery is called with, and returns a network for, in eval mode.

    Attributes:
        network: The pruned network in eval mode, with the statistics it is scored with. It stays as it was, and shares
            tensors with others: train a copy, as `recovery.copying.trainable` makes one.
        bench: Holds the unpruned network, the calibration images, and the images of `search`, `select` and `test` on
            its device. What is chosen while training is chosen by `select`; `test` is for the result alone.
        training: The training part of the data, images of shape (n, channels, height, width) and labels.
        plan: How long and how fast, as the problem's options say it.
        seed: All randomness comes from it.
        frozen_zeros: By a parameter's name a mask of its shape, true where a weight is zero and has to stay so.
        rounds: Returns the unpruned network, to be pruned once more in rounds; None where the problem has no such.
        folder: Where a training in rounds keeps its states and is resumed from; None keeps them in memory.
        macs: Multiply-accumulates of one image through the unpruned network.
        ledger: What trainings took; a method that counts it appends to it.
    """

    network: nn.Module
    bench: Bench
    training: LabelledImages
    plan: Plan
    seed: int
    frozen_zeros: Mapping[str, torch.Tensor] = field(default_factory=dict)
    rounds: Callable[[], NetworkRounds] | None = None
    folder: Path | None = None
    macs: float = 0.0
    ledger: list[Spent] = field(default_factory=list)

    def lessons(self) -> ImageLessons:
        """Return the training images, the plan, and the images of select, as what trains in rounds is given them."""
        images = TrainingImages.load(self.training, self.bench.device)
        return ImageLessons(images, self.plan, self.bench.images[Split.SELECT])

    def in_rounds(self, course: Course, by: str) -> nn.Module:
        """Return the network that was pruned and trained in rounds, which go on where they were once interrupted.

        Args:
            course: How the rounds go.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
            ContractError: The problem has no rounds.
        """
        pruned = self._pruned(by)
        self.ledger.append(
            train_in_rounds(pruned, self.lessons(), course, self.seed, **self._kept(f"{by} {course}", by))
        )
        return pruned.recovered()

    def under_masks(self, mask: SoftMask, hard: float, by: str) -> nn.Module:
        """Return the network that was trained under masks, as much of it as the candidate keeps.

        Args:
            mask: Which of it.
            hard: The share of the epochs after the mask has become hard.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
            ContractError: The problem has nothing to mask.
        """
        pruned = self._pruned(by)
        kept = self._kept(f"{by} {mask} {hard}", by)
        self.ledger.append(train_with_masks(pruned, mask, self.lessons(), self.seed, hard=hard, **kept))
        return pruned.recovered()

    def from_initialisation(self, which: Which, by: str) -> nn.Module:
        """Return a network of the candidate's ratios that was trained from weights drawn anew.

        Args:
            which: What of it goes.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
            ContractError: The problem has nothing to mask.
        """
        pruned, label = self._pruned(by), f"recovery by {by}"
        self.ledger.append(train_sparse(pruned, self.lessons(), which, self.seed, macs=self.macs, label=label))
        return pruned.recovered()

    def in_one_stage(self, wrapped: Callable[[Lessons], Lessons], by: str) -> nn.Module:
        """Return the pruned network trained through one schedule, its zeros kept, as it was best on select.

        Args:
            wrapped: Returns what it is trained with, of the case's own lessons.
            by: The recovery's name.

        Raises:
            ConfigError: The loss is no longer finite.
        """
        network, label = trainable(self.network), f"recovery by {by}"
        self.ledger.append(
            best_stage(
                network, wrapped(self.lessons()), self.seed, masks=self.frozen_zeros, macs=self.macs, label=label
            )
        )
        return network

    def _pruned(self, by: str) -> NetworkRounds:
        if self.rounds is None:
            raise ContractError(f"recovery by {by}: expected a problem that is pruned while it is trained, found none")
        return self.rounds()

    def _kept(self, how: str, by: str) -> dict[str, Any]:
        """Return where states are kept and under which key, what an image costs, and how log lines begin."""
        key = f"{how} {self.plan} {self.seed}"
        return {"folder": self.folder, "key": key, "macs": self.macs, "label": f"recovery by {by}"}
