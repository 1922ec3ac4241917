"""Candidates trained after pruning, as often as asked for, and measured on images that chose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from emoprune.contracts import FloatArray
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.latency import LATENCY
from emoprune.problems.networks.evaluation.loaded import built_of
from emoprune.problems.networks.evaluation.objectives.contract import Scored, Seen
from emoprune.problems.networks.evaluation.quality import ERROR, Quality
from emoprune.problems.networks.evaluation.runner import Runner
from emoprune.problems.networks.evaluation.scoring import finite_outputs_of, outputs_of
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["Setting", "Subject", "Trials", "drawn_seed"]


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A pruned network under audit, what it costs, and which of its weights are zero and stay so.

    `frozen_zeros` holds masks by parameter's name, true where a weight stays zero: for networks that keep their shape.
    `counts` are its macs, parameters and bytes, for a measure of quality that looks at them.
    """

    variant: Variant
    cost: float
    frozen_zeros: Mapping[str, torch.Tensor] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trials:
    """How candidates are trained: a plan, how often, with which seed; and what of them is held against the proxy."""

    plan: Plan
    repeats: int
    seed: int
    quality: Quality = ERROR

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise ConfigError(f"repeats: expected at least 1, found {self.repeats}; 2 also show how noisy training is")


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

    def proxy_values(self, subjects: Sequence[Subject]) -> tuple[FloatArray, FloatArray]:
        """Return the quality and the error of each subject on the search part as the search measures them, each (n,).

        Raises:
            ContractError: Outputs are not finite.
        """
        unpruned, rows = self._unpruned(Split.SEARCH), []
        outputs = self.runner.outputs([own.variant for own in subjects], Split.SEARCH)
        for number, (own, found) in enumerate(zip(subjects, outputs, strict=True)):
            if not torch.isfinite(found).all():
                raise ContractError(f"audit: the outputs of candidate {number + 1} are not finite; leave it out")
            network = built_of(self.bench, LATENCY, own.variant.network, partial(self._settled, own.variant))
            seen = Seen(own.counts, self._scored(found, unpruned, Split.SEARCH), network)
            rows.append((self.trials.quality.of(seen), ERROR.of(seen)))
        values = np.array(rows)
        return values[:, 0], values[:, 1]

    def _settled(self, variant: Variant) -> nn.Module:
        return self.runner.settled(variant).network

    def _unpruned(self, split: Split) -> torch.Tensor:
        return outputs_of(self.bench.network, self.bench.images[split])

    def _scored(self, outputs: torch.Tensor, unpruned: torch.Tensor, split: Split) -> Scored:
        return Scored(outputs, self.bench.images[split].labels, unpruned)

    def final_values(self, subjects: Sequence[Subject], label: str) -> FloatArray:
        """Fine-tune each subject `repeats` times; return its quality on the test part, shape (n, repeats).

        Of each training the weights after the epoch with the best result on the select part are taken.
        """
        made, unpruned = np.zeros((len(subjects), self.trials.repeats)), self._unpruned(Split.TEST)
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
                outputs = finite_outputs_of(found.network, self.bench.images[Split.TEST])
                network = built_of(self.bench, LATENCY, found.network)
                seen = Seen(subject.counts, self._scored(outputs, unpruned, Split.TEST), network)
                made[number, repeat] = self.trials.quality.of(seen)
        return made
