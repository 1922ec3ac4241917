"""Candidates trained after pruning, as often as asked for, and measured on images that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import torch

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.measures import scores_of, values_on
from emoprune.problems.networks.evaluation.runner import Runner
from emoprune.problems.networks.evaluation.scoring import outputs_of
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["Measure", "Setting", "Subject", "Trials", "drawn_seed"]

Measure = Literal["error", "loss", "kl"]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A pruned network under audit, what it costs, and which of its weights are zero and stay so.

    `frozen_zeros` holds masks by parameter's name, true where a weight stays zero: for networks that keep their shape.
    """

    variant: Variant
    cost: float
    frozen_zeros: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trials:
    """How candidates are trained: a plan, how often, with which seed; and which measure is held against the proxy."""

    plan: Plan
    repeats: int
    seed: int
    measure: Measure = "error"

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(f"repeats: expected at least 1, found {self.repeats}; 2 also show how noisy training is")
        if self.measure not in get_args(Measure):
            raise ConfigError(f"measure: expected one of {', '.join(get_args(Measure))}, found {self.measure!r}")


def drawn_seed(*numbers: int) -> int:
    """Return the seed that these numbers stand for, such as the audit's seed, a candidate and a repeat."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Where subjects are measured: network and images, what scores as the search does, and how they are trained."""

    bench: Bench
    runner: Runner
    training: TrainingImages
    trials: Trials

    def proxy_values(self, subjects: Sequence[Subject]) -> dict[Measure, FloatArray]:
        """Return error, loss and kl of each subject on the search part as the search measures them, each (n,).

        Raises:
            ContractError: Outputs are not finite.
        """
        images, names = self.bench.images[Split.SEARCH], frozenset(get_args(Measure))
        unpruned = outputs_of(self.bench.network, images)
        rows = []
        for number, outputs in enumerate(self.runner.outputs([own.variant for own in subjects], Split.SEARCH)):
            if not torch.isfinite(outputs).all():
                raise ContractError(f"audit: the outputs of candidate {number + 1} are not finite; leave it out")
            rows.append(scores_of(outputs, images.labels, unpruned, names))
        return {name: np.array([row[name] for row in rows]) for name in get_args(Measure)}

    def final_values(self, subjects: Sequence[Subject], label: str) -> FloatArray:
        """Fine-tune each subject `repeats` times; return its measure on the test part, shape (n, repeats).

        Of each training the weights after the epoch with the best result on the select part are taken.
        """
        made = np.zeros((len(subjects), self.trials.repeats))
        for number, subject in enumerate(subjects):
            start = self.runner.settled(subject.variant).network
            for repeat in range(self.trials.repeats):
                which = f"{number + 1} of {len(subjects)}, training {repeat + 1} of {self.trials.repeats}"
                found = trained(
                    start,
                    self.training,
                    self.trials.plan,
                    drawn_seed(self.trials.seed, number, repeat),
                    held_out=self.bench.images[Split.SELECT],
                    frozen_zeros=subject.frozen_zeros,
                    label=f"audit: {label} {which}",
                )
                values = values_on(found.network, self.bench.network, self.bench.images[Split.TEST])
                made[number, repeat] = values[self.trials.measure]
        return made
