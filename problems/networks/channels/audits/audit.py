"""The audit of a front of channel widths: its proxy, its scores, and whether the weights that stay matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Audit, Finding, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.audits.comparison import Arm
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.audits.matching import TOLERANCE, matched_widths
from emoprune.problems.networks.channels.audits.options import FineTunedOptions
from emoprune.problems.networks.channels.audits.proxy import Matched, audit_proxy
from emoprune.problems.networks.channels.audits.scratch import (
    FromScratch,
    ShapeTrials,
    criterion_finding,
    shape_finding,
)
from emoprune.problems.networks.channels.audits.trials import Setting, Subject, Trials
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.quality import ERROR, Quality
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.space import IntArray

__all__ = ["FineTuned"]

SCRATCH_EPOCHS = 30.0  # where nobody knows how long the unpruned network was trained


@about(
    "audit",
    ["channels"],
    serves=("channels",),
    cost="three short trainings for each candidate, and for each network of equal cost",
    papers=[
        Paper("Is Oracle Pruning the True Oracle?", "2412.00143"),
        Paper("Rethinking the Value of Network Pruning", "1810.05270"),
        Paper("Pruning Neural Networks at Initialization: Why Are We Missing the Mark?", "2009.08576"),
    ],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuned(FineTunedOptions):
    """Hold what the search measured against fine-tuned networks, and inherited weights against fresh ones.

    Candidates along the front, and networks of random widths that cost as much as some of them, are fine-tuned; what
    the search measured on `search` is held against what they then score on `test`.

    Raises:
        ConfigError: An option is out of range.
    """

    def __post_init__(self) -> None:
        for name, least in (("bands", 1), ("siblings", 0), ("scratch_points", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected {least} or more, found {getattr(self, name)}")
        self._trials(0, ERROR)
        if self.scratch:
            self._from_scratch(None)

    def _trials(self, seed: int, quality: Quality) -> Trials:
        return Trials(Plan(self.epochs, self.rate, self.batch), self.repeats, seed, quality)

    def _from_scratch(self, unpruned: float | None) -> FromScratch:
        return FromScratch(self.scratch_epochs or unpruned or SCRATCH_EPOCHS, self.scratch_rate, self.scratch_cap)

    def __call__(self, front: ChannelFront) -> Audit:
        """Return findings on the proxy, on scores at chance level, and, if asked for, on inherited weights.

        Raises:
            ConfigError: There are fewer than two candidates, or training diverged.
            ContractError: Outputs are not finite.
        """
        widths, bench = front.widths, front.bench
        groups = len(bench.structure.groups)
        if widths.ndim != 2 or widths.shape[1] != groups or len(widths) < 2:
            raise ConfigError(f"audit: expected at least 2 candidates of {groups} widths, found shape {widths.shape}")
        model, trials = CostModel.of(bench.network, bench.structure), self._trials(front.seed, front.quality)
        images = TrainingImages.load(front.training, bench.device, self.training_images)
        slicer, setting = front.slicer_of(front.scores), Setting(bench, front.runner, images, trials)
        anchors = widths[_inner(len(widths), self.bands)] if self.siblings else widths[:0]
        rows, numbers = _equal_cost(model, front.table, anchors, self.siblings, np.random.default_rng(front.seed))
        along, matched = (_subjects(slicer, model, own) for own in (widths, rows))
        found = audit_proxy(along, Matched(matched, numbers), setting)
        if self.siblings and not len(rows):
            found = Audit([*found.findings, _none_of_equal_cost()], found.tables)
        return self._with_scratch(found, front, model, setting) if self.scratch else found

    def _with_scratch(self, found: Audit, front: ChannelFront, model: CostModel, setting: Setting) -> Audit:
        plan = self._from_scratch(front.epochs)
        shapes = ShapeTrials(front.scores, front.slicer_of, front.bench, setting.training, setting.trials, plan)
        return _joined(found, shapes, model, front.widths[_spread(len(front.widths), self.scratch_points)])


def _spread(count: int, wanted: int) -> IntArray:
    """Return the numbers of candidates evenly along the front, its ends among them; of one the middle."""
    ends = np.linspace(0, count - 1, wanted) if wanted > 1 else np.array([(count - 1) / 2])
    return np.unique(ends.round().astype(np.int64))


def _inner(count: int, wanted: int) -> IntArray:
    """Return the numbers of candidates evenly inside the front, its ends not among them if there are others."""
    return np.unique(np.linspace(0, count - 1, wanted + 2)[1:-1].round().astype(np.int64))


def _equal_cost(
    model: CostModel, table: Sequence[IntArray], anchors: IntArray, siblings: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return widths and band numbers: each anchor, followed by random networks that cost as much, if there are any."""
    rows = [anchors[:0]]
    for own in anchors:
        others = matched_widths(model, table, float(model.macs(own[np.newaxis])[0]), siblings + 1, rng)
        different = others[(others != own).any(axis=1)][:siblings]
        if len(different):
            rows.append(np.concatenate([own[np.newaxis], different]))
    return np.concatenate(rows), np.repeat(np.arange(len(rows) - 1), [len(band) for band in rows[1:]])


def _none_of_equal_cost() -> Finding:
    sentence = (
        f"No other networks cost as much as a candidate within {TOLERANCE:.0%}, so that the proxy's ranking along the "
        "front cannot be told from the one that cost alone gives; allow more widths, or a smaller round_to."
    )
    return Finding("networks of equal cost", 0.0, None, None, alarm=True, sentence=sentence)


def _subjects(slicer: Slicer, model: CostModel, widths: IntArray) -> list[Subject]:
    counts = [model.counted(own[np.newaxis]) for own in widths]
    return [Subject(slicer.variant(own), each["macs"], counts=each) for own, each in zip(widths, counts, strict=True)]


def _joined(found: Audit, shapes: ShapeTrials, model: CostModel, widths: IntArray) -> Audit:
    full = float(model.macs(np.array([shapes.bench.structure.units]))[0])
    findings: list[Finding] = []
    rows: list[dict[str, str | float | None]] = []
    for number, own in enumerate(widths):
        share = float(model.macs(own[np.newaxis])[0]) / full
        arms = shapes.arms(own, number)
        name = f"{share:.2f} of the MACs"
        findings += [shape_finding(arms, name), criterion_finding(arms, name)]
        rows += [_row(arm, share) for arm in arms]
    return Audit([*found.findings, *findings], {**found.tables, "fine-tuned and from scratch": rows})


def _row(arm: Arm, share: float) -> dict[str, str | float | None]:
    return {
        "MACs share": round(share, 4),
        "way": arm.name,
        "error on test": round(arm.error, 6),
        "standard deviation": None if arm.spread is None else round(arm.spread, 6),
        "epochs": round(arm.epochs, 3),
        "compute, of the unpruned training": round(arm.compute, 4),
    }
