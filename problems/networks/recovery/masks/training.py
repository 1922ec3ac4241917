"""Training weights under masks: soft at first, then hard, and trained on with what is zero by then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.func import functional_call

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.recovery.masks.contract import Maskable, SoftMask
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.rounds.stage import Best, emptied, train_stage
from emoprune.problems.networks.recovery.rounds.states import State, Thetas
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["MaskableRounds", "Masked", "check_untied", "soft_stage", "train_with_masks"]


class MaskableRounds(Protocol):
    """The unpruned model and what of it can be masked."""

    @property
    def model(self) -> Any:
        """The model, with tensors of its own that take gradients."""
        ...

    def maskables(self) -> Sequence[Maskable]:
        """Return what is masked, each with how much of it the candidate keeps."""
        ...

    def decide(self, stays: Sequence[torch.Tensor]) -> Masks:
        """Take which things of each maskable stay, and return what is zero from then on."""
        ...


class Masked(nn.Module):
    """A model, and the masks' own parameters beside it.

    Args:
        model: Whose parameters are masked.
        mask: How.
        maskables: Which.
    """

    def __init__(self, model: nn.Module, mask: SoftMask, maskables: Sequence[Maskable]) -> None:
        super().__init__()
        self.model, self.mask, self.maskables = model, mask, maskables
        with torch.no_grad():
            begun = [mask.begin(each.sizes(model)) for each in maskables]
        self.own = nn.ModuleList(
            nn.ParameterDict({name: nn.Parameter(tensor.clone()) for name, tensor in each.items()}) for each in begun
        )

    def own_of(self, number: int) -> Mapping[str, torch.Tensor]:
        """Return the own parameters of one maskable."""
        return dict(self.own[number].items())  # type: ignore[operator]  # a ParameterDict, which is no Module's own call

    def weights(self, progress: float, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return the masked parameters, with gradients; what several masks act on is under all of them."""
        found: dict[str, torch.Tensor] = {}
        for number, each in enumerate(self.maskables):
            passing = self.mask.soft(each.sizes(self.model), self.own_of(number), each.keep, progress, generator)
            for name in each.members:
                weight = found.get(name)
                weight = self.model.get_parameter(name) if weight is None else weight
                found[name] = weight * each.spread(passing, name, 1.0)
        return found

    def penalty(self, progress: float) -> torch.Tensor | float:
        """Return what all masks add to the loss."""
        every = enumerate(self.maskables)
        return sum(self.mask.penalty(self.own_of(row), own.keep, own.columns, progress) for row, own in every)

    def stays(self) -> list[torch.Tensor]:
        """Return which things of each maskable stay.

        Raises:
            ContractError: The mask keeps more or less than it was told.
        """
        found = []
        with torch.no_grad():
            for number, each in enumerate(self.maskables):
                hard = self.mask.hard(each.sizes(self.model), self.own_of(number), each.keep)
                if not bool((hard.sum(dim=-1) == each.keep).all()):
                    kept = hard.sum(dim=-1).tolist()
                    raise ContractError(f"mask: expected {each.keep} of each row of {each.name} to stay, found {kept}")
                found.append(hard)
        return found


class _Loss(nn.Module):
    """The loss of a model as a module, so that its parameters can be replaced for one call."""

    def __init__(self, model: nn.Module, lessons: Lessons, order: torch.Generator) -> None:
        super().__init__()
        self.model, self._lessons, self._order = model, lessons, order

    def forward(self, batch: Any) -> tuple[torch.Tensor, int]:
        return self._lessons.loss(self.model, batch, self._order)


class _Together(torch.optim.Optimizer):
    """Two optimisers as one."""

    def __init__(self, *each: torch.optim.Optimizer) -> None:
        groups = [group for own in each for group in own.param_groups]
        super().__init__([own for group in groups for own in group["params"]], {})
        self.param_groups, self._each = groups, each

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is given
        assert closure is None  # noqa: S101  # as above
        for own in self._each:
            own.step()


@dataclass(slots=True, eq=False)
class _MaskedLessons:
    """Lessons for a masked model; how far they are is counted here."""

    lessons: Lessons
    masked: Masked
    steps: int
    done: int = 0

    @property
    def plan(self) -> Plan:
        return self.lessons.plan

    @property
    def of_training(self) -> bool:
        return self.lessons.of_training

    @property
    def each(self) -> int:
        return self.lessons.each

    def epoch(self, order: torch.Generator) -> Sequence[Any]:
        return self.lessons.epoch(order)

    def loss(self, model: Masked, batch: Any, order: torch.Generator) -> tuple[torch.Tensor, int]:
        progress = self.done / max(1, self.steps - 1)
        self.done += 1
        weights = {f"model.{name}": own for name, own in model.weights(progress, order).items()}
        loss, count = functional_call(_Loss(model.model, self.lessons, order), weights, (batch,))
        return loss + model.penalty(progress), count

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        own = list(self.masked.own.parameters())
        theirs = {id(each) for each in own}
        weights = [each for each in parameters if id(each) not in theirs]
        made = [self.lessons.optimiser(weights)] if weights else []
        if own:
            mask = torch.optim.Adam(own, lr=self.masked.mask.rate)
            mask.param_groups[0]["times"] = self.masked.mask.rate / self.plan.peak_rate
            made.append(mask)
        if not made:
            raise ConfigError("mask: there is nothing to train, neither weights nor a parameter of its own")
        return _Together(*made)

    def score(self, model: Masked) -> tuple[float, ...]:
        return self.lessons.score(model.model)


def check_untied(model: nn.Module, maskables: Sequence[Maskable]) -> None:
    """Refuse parameters that two layers share: a mask on one of them would be missing in the other.

    Raises:
        ConfigError: It names both.
    """
    names: dict[int, list[str]] = {}
    for name, own in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(own), []).append(name)
    for name in (name for each in maskables for name in each.members):
        shared = names[id(model.get_parameter(name))]
        if len(shared) > 1:
            raise ConfigError(f"mask: {' and '.join(shared)} are one tensor; put their layers into `ignore`")


def soft_stage(
    masked: Masked, lessons: Lessons, steps: int, seed: int, *, macs: float = 0.0, label: str = "training under masks"
) -> Spent:
    """Train weights and masks in place through one whole schedule, and return what it took.

    Raises:
        ConfigError: The loss is no longer finite, or there is nothing to train.
    """
    masked.model.requires_grad_(masked.mask.trains_weights)
    spent = train_stage(masked, _MaskedLessons(lessons, masked, steps), steps, seed, macs=macs, label=label)
    masked.model.requires_grad_(requires_grad=True)
    return spent


def train_with_masks(
    pruned: MaskableRounds,
    mask: SoftMask,
    lessons: Lessons,
    seed: int,
    *,
    hard: float = 0.25,
    folder: Path | None = None,
    key: str = "",
    macs: float = 0.0,
    label: str = "training under masks",
) -> Spent:
    """Train `pruned.model` under soft masks, harden them, train on, and keep what was best on select.

    The state after the soft part is kept in `folder`; called again, it goes on there, to the same bits.

    Args:
        pruned: The model, what is masked, and how much of it stays.
        mask: How.
        lessons: What it is trained on.
        seed: All randomness.
        hard: The share of the epochs that is trained with hard masks.
        folder: None keeps states in memory.
        key: What makes the states those of this training and no other one.
        macs: Multiply-accumulates of one example's forward pass.
        label: What errors begin with.

    Raises:
        ConfigError: The loss is no longer finite, weights are tied, or there is nothing to train.
    """
    thetas, model = Thetas.of(folder, key), pruned.model
    total = max(2, round(lessons.plan.epochs * lessons.each))
    after = min(max(1, round(total * hard)), total - 1)
    maskables = pruned.maskables()
    check_untied(model, maskables)
    found = thetas.find("soft", next(model.parameters()).device)
    if found is None:
        masked = Masked(model, mask, maskables)
        spent = soft_stage(masked, lessons, total - after, seed, macs=macs, label=f"{label}: soft")
        stays = masked.stays()
        others = {f"{number:05}": own for number, own in enumerate(stays)}
        thetas.keep("soft", State.of(model, others=others), **spent.as_json())
    else:
        state, words = found
        state.into(model)
        stays, spent = [state.others[name] for name in sorted(state.others)], Spent(**words)
    masks = pruned.decide(stays)
    emptied(model, masks)
    best = Best(model, lessons, after)
    spent += train_stage(
        model,
        lessons,
        after,
        (seed + 1) % 2**63,
        masks=masks,
        after=best,
        macs=macs,
        label=f"{label}: hard",
    )
    best.restore(label)
    return spent
