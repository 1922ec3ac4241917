"""Pruning and training in rounds: after each, the learning rate starts anew, or the weights do as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from emoprune.contracts import Paper, about
from emoprune.problems.networks.recovery.rounds.trainer import Course, Schedule

__all__ = ["RewindRate", "RewindWeights"]

_described = about(
    "recovery",
    ["channels", "heads", "neurons", "weights"],
    serves=["channels", "weight-ratios", "heads-and-neurons", "transformer-weight-ratios"],
    papers=[Paper("Masks, Signs, And Learning Rate Rewinding", "2402.19262")],
    gradients=True,
    training=True,
    cost="the epochs that it is given over the training part, shared out among the rounds",
)


class InRounds(Protocol):
    """A pruned network or transformer that can be pruned once more in rounds."""

    def in_rounds(self, course: Course, by: str) -> Any:
        """Return what became of it, as a recovery returns it."""
        ...


@_described
@dataclass(frozen=True, slots=True)
class RewindRate:
    """Prunes and trains in rounds, the learning rate set back after each; weights go on from where they are.

    Batch norms and the optimiser are set back with the rate. Which single weights, heads and neurons stay is decided
    anew in each round; channels go in the order of the criterion. Source: Gadhikar and Burkholz, Masks, Signs, And
    Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        rounds: How often something is pruned, or with cyclic how often is trained after it.
        schedule: gradual, as much in each round; one-shot, all at once; cyclic, all at once, and the rounds repeat the
            rise and fall of the learning rate.
        start: What is trained first: the unpruned network (dense), or weights that are drawn anew (initialisation).
    """

    rounds: int = 3
    schedule: Schedule = "gradual"
    start: Literal["dense", "initialisation"] = "dense"

    def __post_init__(self) -> None:
        Course(self.rounds)

    def __call__(self, case: InRounds) -> Any:
        """Return the recovered network after the last round, with its weights that were best on select."""
        return case.in_rounds(Course(self.rounds, self.schedule, weights=False, start=self.start), "rewind-rate")


@_described
@dataclass(frozen=True, slots=True)
class RewindWeights:
    """Prunes and trains in rounds, the weights set back after each to where they began, or to an early step.

    Batch norms and the optimiser are set back with them. Source: iterative magnitude pruning in Gadhikar and Burkholz,
    Masks, Signs, And Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        rounds: How often something is pruned, or with cyclic how often is trained after it.
        schedule: gradual, as much in each round; one-shot, all at once; cyclic, all at once, then rounds alike.
        start: What is trained first: the unpruned network (dense), or weights that are drawn anew (initialisation).
        step: Weights are set back to what they were after so many steps of the first training.
    """

    rounds: int = 3
    schedule: Schedule = "gradual"
    start: Literal["dense", "initialisation"] = "dense"
    step: int = 0

    def __post_init__(self) -> None:
        Course(self.rounds, step=self.step)

    def __call__(self, case: InRounds) -> Any:
        """Return the recovered network after the last round, with its weights that were best on select."""
        course = Course(self.rounds, self.schedule, weights=True, start=self.start, step=self.step)
        return case.in_rounds(course, "rewind-weights")
