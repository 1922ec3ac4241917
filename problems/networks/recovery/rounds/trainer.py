"""Prune a part, train, prune the next part: a round goes on from where the last one ended, unless it is set back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.rounds.lessons import Lessons, Masks
from emoprune.problems.networks.recovery.rounds.stage import Best, emptied, stage_steps, train_stage
from emoprune.problems.networks.recovery.rounds.states import State, Thetas
from emoprune.problems.networks.recovery.spent import Spent

__all__ = ["Course", "Rounds", "train_in_rounds"]

Schedule = Literal["one-shot", "gradual", "cyclic"]
APART = 7919  # between the seeds of two rounds


class Rounds(Protocol):
    """The unpruned model, pruned in rounds until it keeps as much as a candidate."""

    @property
    def model(self) -> Any:
        """The model as it is by now, with tensors of its own that take gradients."""
        ...

    def masks(self, share: float) -> Masks:
        """Return what is zero once a share of all pruning, from 0 to 1, is due; decided on the model as it is."""
        ...

    def remembered(self) -> Mapping[str, torch.Tensor]:
        """Return what was decided that the model does not show."""
        ...

    def remind(self, remembered: Mapping[str, torch.Tensor]) -> None:
        """Take back what `remembered` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Course:
    """How training in rounds goes.

    Attributes:
        rounds: How many trainings follow the first one, in which nothing is pruned yet.
        schedule: When is pruned: as much in every round (gradual), all before the first round (cyclic: the rounds after
            that repeat the rise and fall of the learning rate), or all at once with a single round (one-shot).
        weights: Whether each round sets the weights back to `start`, or to what they were after `step` steps of the
            first training; if not, only the learning rate begins anew.
        start: What is trained first: the unpruned model as it is (dense), or weights drawn anew (initialisation).
        step: How many steps of the first training what is set back keeps.

    Raises:
        ConfigError: There are no rounds, or a step below 0.
    """

    rounds: int = 3
    schedule: Schedule = "gradual"
    weights: bool = False
    start: Literal["dense", "initialisation"] = "dense"
    step: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds: expected 1 or more, found {self.rounds}")
        if self.step < 0:
            raise ConfigError(f"step: expected 0 or more steps of the first training, found {self.step}")

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of all pruning that is due in each round."""
        if self.schedule == "one-shot":
            return (1.0,)
        if self.schedule == "cyclic":
            return (1.0,) * self.rounds
        return tuple(done / self.rounds for done in range(1, self.rounds + 1))


def train_in_rounds(
    pruned: Rounds,
    lessons: Lessons,
    course: Course,
    seed: int,
    *,
    folder: Path | None = None,
    key: str = "",
    macs: float = 0.0,
    label: str = "training in rounds",
) -> Spent:
    """Train `pruned.model` in place, prune a part of what is to go, train on, and so on; return what it took.

    Batch norms, their statistics and the optimiser are set back with the learning rate, and with the weights. Which
    weights were best on select is asked in the last round alone. The states at the start, after `step` steps, at the
    end of the first training, and after the last round that is done are kept in `folder`; called again, it goes on
    there, to the same bits.

    Source: Gadhikar and Burkholz, Masks, Signs, And Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        pruned: What is trained and says what goes.
        lessons: What it is trained on; its plan's epochs are shared out among all rounds.
        course: How the rounds go.
        seed: All randomness.
        folder: None keeps states in memory.
        key: What makes the states those of this training and no other one.
        macs: Multiply-accumulates of one example's forward pass.
        label: What errors begin with.

    Raises:
        ConfigError: The loss or a weight is no longer finite; it says in which round, at which step, and what is kept.
            Or the step to go back to is none of the first training's.
    """
    thetas = Thetas.of(folder, key)
    steps = stage_steps(lessons, len(course.shares) + 1)
    if course.step >= steps:
        raise ConfigError(f"step: expected fewer than the {steps} steps of the first training, found {course.step}")
    training = _Training(pruned, lessons, course, seed, thetas, macs, label, steps)
    shares = (0.0, *course.shares)
    done, spent = training.resumed(len(shares))
    for number in range(done, len(shares)):
        spent += training.round(number, shares[number], last=number + 1 == len(shares))
        thetas.keep(f"round-{number}", State.of(pruned.model, others=pruned.remembered()), **spent.as_json())
        thetas.forget(f"round-{number - 1}")
    return spent


@dataclass(slots=True, eq=False)
class _Training:
    pruned: Rounds
    lessons: Lessons
    course: Course
    seed: int
    thetas: Thetas
    macs: float
    label: str
    steps: int

    def resumed(self, rounds: int) -> tuple[int, Spent]:
        """Return how many rounds are done and what they took, with the model as they left it."""
        model = self.pruned.model
        device = next(model.parameters()).device
        for number in reversed(range(rounds)):
            found = self.thetas.find(f"round-{number}", device)
            if found is not None and self.thetas.find("back", device) is not None:
                state, words = found
                state.into(model)
                self.pruned.remind(state.others)
                return number + 1, Spent(**words)
        if self.course.start == "initialisation":
            model.load_state_dict(drawn_anew(model, self.seed).state_dict())
        self.thetas.keep("start", State.of(model))
        return 0, Spent(0, 0, 0.0)

    def round(self, number: int, share: float, *, last: bool) -> Spent:
        """Train one round, and return what it took."""
        model, steps, back = self.pruned.model, self.steps, self.course.step
        optimiser = self.lessons.optimiser(own for own in model.parameters() if own.requires_grad)
        masks = self.pruned.masks(share) if number else {}
        if number:
            self._set_back(model, optimiser)
            emptied(model, masks)
        elif back == 0:
            self.thetas.keep("back", State.of(model))
        best = Best(model, self.lessons, steps)

        def after(done: int, own: torch.optim.Optimizer) -> None:
            if number == 0 and done == back:
                self.thetas.keep("back", State.of(model, own))
            if last:
                best(done)

        try:
            spent = train_stage(
                model,
                self.lessons,
                steps,
                (self.seed + APART * number) % 2**63,
                masks=masks,
                first=back if number and self.course.weights else 0,
                optimiser=optimiser,
                after=after,
                macs=self.macs,
                label=f"{self.label}: round {number}",
            )
        except ConfigError as error:
            kept = f"; round-{number - 1}.safetensors in {self.thetas.folder} is the last good state" if number else ""
            raise ConfigError(f"{error}{kept if self.thetas.folder else ''}") from error
        if number == 0:
            self.thetas.keep("dense", State.of(model))
        if last:
            best.restore(self.label)
        return spent

    def _set_back(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Set back all, or the batch norms alone; the optimiser is new, or as it was after the step that is kept."""
        found = self.thetas.find("back", next(model.parameters()).device)
        assert found is not None  # noqa: S101  # the first round kept it; narrows the type
        state, _ = found
        if self.course.weights:
            state.into(model, optimiser)
            return
        own = model.state_dict()
        for path, module in model.named_modules():
            if isinstance(module, _BatchNorm):
                for name in module.state_dict():
                    whole = f"{path}.{name}" if path else name
                    own[whole].copy_(state.model[whole])
