"""Images with labels, as the round trainer is given them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.targets import Labels, Target
from emoprune.problems.networks.unpruned.augmentation import augmented

__all__ = ["ImageLessons"]

SETTLED_ON = 8  # batches


@dataclass(frozen=True, slots=True, eq=False)
class ImageLessons:
    """Stochastic gradient descent with Nesterov's momentum of 0.9 on images.

    Attributes:
        training: What is trained on.
        plan: How long and how fast, and what varies the images.
        held_out: Images of the select part.
        target: What is trained towards, the labels by default.
    """

    training: TrainingImages
    plan: Plan
    held_out: LoadedImages
    target: Target = field(default_factory=Labels)

    @property
    def of_training(self) -> bool:
        """Batch norms take the statistics of each batch, dropout drops."""
        return True

    @property
    def each(self) -> int:
        """How many steps an epoch takes."""
        return self.plan.batches(len(self.training))

    def epoch(self, order: torch.Generator) -> Sequence[torch.Tensor]:
        """Return the rows of each batch."""
        return torch.randperm(len(self.training), generator=order).tensor_split(self.each)

    def loss(self, model: nn.Module, batch: torch.Tensor, order: torch.Generator) -> tuple[torch.Tensor, int]:
        """Return the mean loss of the images of these rows, and how many they are."""
        images = augmented(self.training.images[batch], flips=self.plan.flips, shift=self.plan.shift, order=order)
        return self.target(model(images), self.training.labels[batch], images, batch), len(batch)

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return stochastic gradient descent."""
        plan = self.plan
        return torch.optim.SGD(
            parameters, lr=plan.peak_rate, momentum=0.9, weight_decay=plan.weight_decay, nesterov=True
        )

    def score(self, model: nn.Module) -> tuple[float, ...]:
        """Return how many images are wrong, and the loss, which tells apart what is equally often wrong.

        Statistics of batch norms are estimated anew before that: after few steps the running ones still are those of
        the network before it was pruned.
        """
        self._settle(model)
        outputs, labels = outputs_of(model, self.held_out), self.held_out.labels
        if not torch.isfinite(outputs).all():
            return (math.inf, math.inf)
        wrong = float((outputs.argmax(dim=1) != labels).sum())
        return wrong, float(nn.functional.cross_entropy(outputs.double(), labels))

    def _settle(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
        momenta = [norm.momentum for norm in norms]
        if not norms:
            return
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
            norm.train()
        with torch.no_grad():
            for batch in torch.split(self.training.images, self.plan.batch)[:SETTLED_ON]:
                if len(batch) > 1:
                    model(batch)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
