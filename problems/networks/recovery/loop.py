"""The one loop in which networks are trained after pruning: the same for the same seed, best by held-out images."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import one_thread, seeded
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.targets import Labels, Target
from emoprune.problems.networks.unpruned.augmentation import augmented

__all__ = ["Trained", "trained"]

Masks = Mapping[str, torch.Tensor]

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network in eval mode, without gradients, and what it took.

    `epoch` says after how many epochs its weights were the best ones; `seen` counts the images that went through.
    """

    network: nn.Module
    epoch: int
    seen: int
    losses: tuple[float, ...]  # mean training loss of each epoch


@dataclass(slots=True, eq=False)
class _Best:
    """The weights with the lowest error on held-out images so far; of equal errors those with the lower loss."""

    held_out: LoadedImages | None
    rank: tuple[float, float] = (math.inf, math.inf)
    epoch: int = 0
    state: dict[str, torch.Tensor] = field(default_factory=dict)

    def look(self, network: nn.Module, epoch: int) -> None:
        if self.held_out is None:
            self.epoch = epoch
            return
        network.eval()
        outputs, labels = outputs_of(network, self.held_out), self.held_out.labels
        if not torch.isfinite(outputs).all():
            return
        wrong = float((outputs.argmax(dim=1) != labels).sum())
        rank = (wrong, float(nn.functional.cross_entropy(outputs.double(), labels)))
        if not self.state or rank < self.rank:
            self.rank, self.epoch = rank, epoch
            self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def trained(
    network: nn.Module,
    training: TrainingImages,
    plan: Plan,
    seed: int,
    *,
    target: Target | None = None,
    held_out: LoadedImages | None = None,
    from_start: bool = False,
    frozen_zeros: Masks | None = None,
    label: str = "training",
) -> Trained:
    """Train a copy of `network` by stochastic gradient descent with Nesterov's momentum of 0.9, on one thread.

    Batch-norm statistics are those of training. Each epoch is logged to `emoprune` at level INFO.

    Args:
        network: Stays as it was; of any classes, with tensors of any sizes.
        training: What it is trained on.
        plan: How long and how fast.
        seed: Fixes the order of the images, how they are varied, and dropout.
        target: What it is trained towards, the labels by default.
        held_out: Images of the select part that say after which epoch its weights were best; None takes the last ones.
        from_start: Whether the weights before the first step may be the best ones.
        frozen_zeros: By a parameter's name a mask of its shape, true where it is zero and stays so.
        label: What log lines begin with.

    Raises:
        ConfigError: The loss or a weight is no longer finite.
        ContractError: A mask names no parameter or has another shape.
    """
    made, best = trainable(network), _Best(held_out)
    descent = _Descent.of(made, training, plan, seed, target=target or Labels(), masks=frozen_zeros or {})
    losses, seen = [], 0
    with seeded(seed), one_thread():
        if from_start:
            best.look(made, 0)
        for epoch, (count, loss) in enumerate(descent.epochs(label), start=1):
            losses.append(loss)
            seen += count
            best.look(made, epoch)
    if best.state:
        made.load_state_dict(best.state)
    elif held_out is not None:
        raise ConfigError(
            f"{label}: diverged: its outputs were finite after no epoch; lower the learning rate below {plan.peak_rate}"
        )
    return Trained(made.eval().requires_grad_(requires_grad=False), best.epoch, seen, tuple(losses))


@dataclass(slots=True, eq=False)
class _Descent:
    """A network on its way down, and all that each step takes."""

    network: nn.Module
    training: TrainingImages
    plan: Plan
    target: Target
    frozen: list[tuple[nn.Parameter, torch.Tensor]]
    order: torch.Generator
    optimiser: torch.optim.Optimizer

    @classmethod
    def of(
        cls, network: nn.Module, training: TrainingImages, plan: Plan, seed: int, *, target: Target, masks: Masks
    ) -> _Descent:
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(
            parameters, lr=plan.peak_rate, momentum=0.9, weight_decay=plan.weight_decay, nesterov=True
        )
        made = cls(
            network, training, plan, target, _frozen(network, masks), torch.Generator().manual_seed(seed), optimiser
        )
        made.empty()
        return made

    def empty(self) -> None:
        """Set to zero what is to stay zero."""
        with torch.no_grad():
            for parameter, mask in self.frozen:
                parameter.masked_fill_(mask, 0.0)

    def finite(self) -> bool:
        """Whether all weights are finite: the last step may spoil them without any loss that says so."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.network.state_dict().values())

    def epochs(self, label: str) -> Iterator[tuple[int, float]]:
        """Train on, epoch by epoch; after each one yield how many images it took and their mean loss."""
        steps, each = self.plan.steps(len(self.training)), self.plan.batches(len(self.training))
        epochs = math.ceil(steps / each)
        for epoch in range(epochs):
            begun, total, count = time.perf_counter(), 0.0, 0
            self.network.train()
            batches = torch.randperm(len(self.training), generator=self.order).tensor_split(each)
            for step, rows in enumerate(batches[: steps - epoch * each], start=epoch * each):
                total += len(rows) * self.step(rows, self.plan.rate(step, steps))
                count += len(rows)
            if not (math.isfinite(total) and self.finite()):
                raise ConfigError(
                    f"{label}: diverged in epoch {epoch + 1} of {epochs} (loss {total}); lower the learning rate "
                    f"below {self.plan.peak_rate}"
                )
            spent = time.perf_counter() - begun
            _log.info("%s: epoch %d of %d: loss %.4f, %.1f s", label, epoch + 1, epochs, total / count, spent)
            yield count, total / count

    def step(self, rows: torch.Tensor, rate: float) -> float:
        """Train on some images, and return their mean loss before the step."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        batch = augmented(self.training.images[rows], flips=self.plan.flips, shift=self.plan.shift, order=self.order)
        loss = self.target(self.network(batch), self.training.labels[rows], batch, rows)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.clip)
        self.optimiser.step()
        self.empty()
        return float(loss.item())


def _frozen(network: nn.Module, masks: Masks) -> list[tuple[nn.Parameter, torch.Tensor]]:
    parameters, found = dict(network.named_parameters()), []
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape or mask.dtype != torch.bool:
            shape = tuple(parameters[name].shape) if name in parameters else "no such parameter"
            raise ContractError(
                f"frozen_zeros {name!r}: expected a boolean mask of the parameter's shape ({shape}), "
                f"found {mask.dtype} {tuple(mask.shape)}"
            )
        found.append((parameters[name], mask.to(parameters[name].device)))
    return found
