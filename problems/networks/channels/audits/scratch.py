"""Do the inherited weights matter, or only the shape: fine-tuning beside training from scratch at equal compute.

Method: Rethinking the Value of Network Pruning, arXiv 1810.05270; the control with shuffled scores after Pruning Neural
Networks at Initialization: Why Are We Missing the Mark?, arXiv 2009.08576.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from emoprune.contracts import Finding
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Scores
from emoprune.problems.networks.channels.audits.comparison import Arm, Difference, lower_error, pooled
from emoprune.problems.networks.channels.audits.trials import Trials, drawn_seed
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.evaluation.scoring import outputs_of
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["ARMS", "FromScratch", "ShapeTrials", "criterion_finding", "shape_finding"]

FINE_TUNED, SCRATCH, EQUAL_COMPUTE, RANDOM, SHUFFLED = ARMS = (
    "fine-tuned",
    "from scratch",
    "from scratch, equal compute",
    "random units, fine-tuned",
    "shuffled scores, fine-tuned",
)
COMPUTE_SHARE = 0.95  # below it equal compute was not reached
WARM_UP = 0.3  # of a training from scratch, as when the unpruned network is trained


@dataclass(frozen=True, slots=True)
class FromScratch:
    """How shapes are trained from scratch: epochs, as the unpruned network was, its rate, and the stretch's limit.

    At equal compute a shape gets as many more epochs as it costs less, but at most `cap` times as many; the learning
    rate's rise and fall are stretched with them.
    """

    epochs: float = 30.0
    rate: float = 0.1
    cap: float = 8.0

    def __post_init__(self) -> None:
        if not self.cap >= 1:
            raise ConfigError(f"scratch_cap: expected 1 or more, found {self.cap}")

    def plan(self, like: Plan, stretch: float = 1.0) -> Plan:
        """Return the plan of a training from scratch, its batches and weight decay as in fine-tuning."""
        return Plan(
            self.epochs * stretch, self.rate, like.batch, like.weight_decay, WARM_UP, like.clip, like.flips, like.shift
        )


@dataclass(frozen=True, slots=True, eq=False)
class ShapeTrials:
    """Everything that training a shape in all its ways takes; `slicer_of` cuts networks by other scores."""

    scores: Sequence[Scores]
    slicer_of: Callable[[Sequence[Scores]], Slicer]
    bench: Bench
    training: TrainingImages
    trials: Trials
    scratch: FromScratch

    def arms(self, widths: IntArray, number: int) -> list[Arm]:
        """Return all arms of one shape, its widths of shape (groups,), in the order of `ARMS`.

        Units that are drawn at random and units with shuffled scores are two draws of the same control here: within a
        coupling group the scores decide nothing but which units stay.
        """
        model = CostModel.of(self.bench.network, self.bench.structure)
        macs, full = (float(model.macs(np.atleast_2d(own))[0]) for own in (widths, self.bench.structure.units))
        tuned, stretch = self.trials.plan, min(full / macs, self.scratch.cap)
        plans = (tuned, self.scratch.plan(tuned), self.scratch.plan(tuned, stretch), tuned, tuned)
        own_training = self.scratch.epochs * len(self.training) * full
        made = []
        for arm, (name, plan) in enumerate(zip(ARMS, plans, strict=True)):
            wrong, seen = [], 0
            for repeat in range(self.trials.repeats):
                seed = drawn_seed(self.trials.seed, number, arm, repeat)
                label = f"audit: shape {number + 1}, {name}, training {repeat + 1} of {self.trials.repeats}"
                found = trained(
                    self._start(name, widths, seed),
                    self.training,
                    plan,
                    seed,
                    held_out=self.bench.images[Split.SELECT],
                    label=label,
                )
                wrong.append(self._wrong(found.network))
                seen = found.seen
            made.append(Arm(name, np.stack(wrong), seen / len(self.training), seen * macs / own_training))
        return made

    def _start(self, name: str, widths: IntArray, seed: int) -> nn.Module:
        """Return what an arm's training starts from.

        Batch-norm statistics are settled without the search's runner, which may take networks of equal widths for
        equal networks; in a short training those of the unpruned network would linger.
        """
        scores = self._scored(name, np.random.default_rng(seed))
        variant = self.slicer_of(scores).variant(widths)
        if name in {SCRATCH, EQUAL_COMPUTE}:
            return drawn_anew(variant.network, seed)
        return PlainRunner(self.bench, AdaptiveBatchNorm()).settled(variant).network

    def _scored(self, name: str, rng: np.random.Generator) -> Sequence[Scores]:
        if name == RANDOM:
            return [rng.random(len(own)) for own in self.scores]
        if name == SHUFFLED:
            return [rng.permutation(own) for own in self.scores]
        return self.scores

    def _wrong(self, network: nn.Module) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        images = self.bench.images[Split.TEST]
        return np.asarray((outputs_of(network, images).argmax(dim=1) != images.labels).cpu().numpy())


def shape_finding(arms: Sequence[Arm], name: str) -> Finding:
    """Judge whether inherited weights matter: fine-tuning must beat both trainings from scratch by two standard errors.

    Args:
        arms: As `ShapeTrials.arms` returns them.
        name: Of the shape, as in "0.31 of the MACs".
    """
    tuned, scratch = arms[0], lower_error(arms[1:3])
    found = Difference.of(scratch, tuned)
    said = (
        f"error {tuned.error:.4f} fine-tuned for {tuned.epochs:.3g} epochs, {scratch.error:.4f} {scratch.name} for "
        f"{scratch.epochs:.3g}; difference {found.value:.4f} with a pooled standard error of {found.standard_error:.4f}"
    )
    if arms[2].compute < COMPUTE_SHARE:
        said += f"; training at equal compute was capped at {arms[2].compute:.0%} of the unpruned network's own"
    worse = found.high < 0
    if found.low > 0:
        sentence = f"At {name} the weights matter: {said}."
    elif worse:
        sentence = f"At {name} only the shape matters, and training it from scratch is better than pruning: {said}."
    else:
        sentence = f"At {name} only the shape matters: {said}."
    return Finding(f"weights against shape at {name}", found.value, found.low, found.high, worse, sentence)


def criterion_finding(arms: Sequence[Arm], name: str) -> Finding:
    """Judge whether it matters which units stay: the criterion must beat random ones by two standard errors.

    Args:
        arms: As `ShapeTrials.arms` returns them.
        name: Of the shape.
    """
    tuned, control = arms[0], pooled("random units", arms[3:5])
    found = Difference.of(control, tuned)
    said = (
        f"error {tuned.error:.4f} with the criterion's units, {control.error:.4f} with random ones, both fine-tuned; "
        f"difference {found.value:.4f} with a pooled standard error of {found.standard_error:.4f}"
    )
    lost = found.low <= 0
    verdict = "the criterion is no better than random units" if lost else "it matters which units stay"
    return Finding(
        f"criterion against random units at {name}",
        found.value,
        found.low,
        found.high,
        lost,
        f"At {name} {verdict}: {said}.",
    )
