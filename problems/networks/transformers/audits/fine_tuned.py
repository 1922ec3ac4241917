"""What the search measured of transformers held against fine-tuned ones, and inherited weights against fresh ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emoprune.contracts import Audit, Finding, FloatArray, Paper, Table, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.statistics.fidelity import Ranked, fidelity_findings
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.audits.contract import TransformerFront
from emoprune.problems.networks.transformers.recovery.contract import RecoveryCase

__all__ = ["FineTunedTransformers", "arms_findings"]

TUNED, SCRATCH, RANDOM = "fine-tuned", "from scratch", "random units, fine-tuned"
STANDARD_ERRORS = 2.0
DIGITS = 6

Plans = Sequence[BlockPlan]


@about(
    "audit",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="`repeats` trainings of each candidate; with scratch, twice as many more of some shapes",
    papers=[
        Paper("Is Oracle Pruning the True Oracle?", "2412.00143"),
        Paper("Rethinking the Value of Network Pruning", "1810.05270"),
    ],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True, kw_only=True)
class FineTunedTransformers:
    """Does the search rank candidates as fine-tuning does, and do the weights that stay matter?

    Every candidate is fine-tuned, and what it then gives on the test part is held against what the search measured.
    Beside it, if asked for, stand the same shape with fresh weights and with units drawn at random.

    Args:
        epochs: How long a candidate is fine-tuned, over the training part.
        repeats: How often, with other seeds.
        rate: The highest learning rate of fine-tuning.
        scratch: Also train shapes of the front with fresh weights, and with random units.
        scratch_points: How many shapes, the front's ends among them.
        scratch_epochs: How long from scratch; a language model from a hub was trained for far longer than is possible
            here, so that its weights can only win.
        scratch_rate: The highest learning rate from scratch.

    Raises:
        ConfigError: An option is out of range.
    """

    epochs: float = 1.0
    repeats: int = 3
    rate: float = 1e-4
    scratch: bool = False
    scratch_points: int = 2
    scratch_epochs: float = 3.0
    scratch_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name, least in (("repeats", 1), ("scratch_points", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name}: expected {least} or more, found {getattr(self, name)}")
        self._plan(TUNED), self._plan(SCRATCH)

    def _plan(self, way: str) -> Plan:
        epochs, rate = (self.scratch_epochs, self.scratch_rate) if way == SCRATCH else (self.epochs, self.rate)
        return Plan(epochs, rate, weight_decay=0.0, clip=1.0)

    def __call__(self, front: TransformerFront) -> Audit:
        """Return findings on the search's ranking and, if asked for, on inherited weights.

        Raises:
            ConfigError: Training diverged.
        """
        less, name = front.quality.minimised, front.quality.name
        every = list(front.plans.values())
        searched = front.values("search")[1:]
        tuned = np.stack([self._results(front, plans, TUNED, number) for number, plans in enumerate(every)])
        costs = np.array([front.opened.cost_model.counted(plans)["parameters"] for plans in every])
        findings = fidelity_findings(
            Ranked(less(searched), less(tuned), costs), None, np.random.default_rng(front.seed)
        )
        rows: Table = [
            {
                "number": number + 1,
                "parameters": float(cost),
                f"{name} on search, as searched": round(float(before), DIGITS),
                f"{name} on test, trained": round(float(own.mean()), DIGITS),
                "standard deviation": _spread(own),
            }
            for number, (cost, before, own) in enumerate(zip(costs, searched, tuned, strict=True))
        ]
        tables: dict[str, Table] = {"along the front": rows}
        if self.scratch:
            more, beside = self._shapes(front, every, costs, tuned)
            findings, tables = [*findings, *more], {**tables, "fine-tuned and from scratch": beside}
        return Audit(findings, tables)

    def _shapes(
        self, front: TransformerFront, every: Sequence[Plans], costs: FloatArray, tuned: FloatArray
    ) -> tuple[list[Finding], Table]:
        findings: list[Finding] = []
        rows: list[dict[str, Any]] = []
        for number in np.unique(np.linspace(0, len(every) - 1, self.scratch_points).round().astype(int)).tolist():
            ways = {TUNED: tuned[number]}
            ways |= {way: self._results(front, every[number], way, number) for way in (SCRATCH, RANDOM)}
            where = f"{costs[number]:,.0f} parameters"
            findings += arms_findings(ways, where, front.quality.minimised)
            name = f"{front.quality.name} on test"
            rows += [
                {"at": where, "way": way, name: round(float(own.mean()), DIGITS), "standard deviation": _spread(own)}
                for way, own in ways.items()
            ]
        return findings, rows

    def _results(self, front: TransformerFront, plans: Plans, way: str, number: int) -> FloatArray:
        """Return the quality on the test part after each training of a shape, shape (repeats,)."""
        found = []
        for repeat in range(self.repeats):
            seed = int(np.random.SeedSequence([front.seed, number, repeat]).generate_state(1)[0])
            own = _drawn(plans, front, np.random.default_rng(seed)) if way == RANDOM else plans
            case = RecoveryCase(
                front.opened, front.narrower, own, self._plan(way), front.device, seed, zeros=_none, rounds=_no_rounds
            )
            model = drawn_anew(case.model(), seed) if way == SCRATCH else case.model()
            case.train(model, f"audit, {way}, candidate {number + 1}, training {repeat + 1} of {self.repeats}")
            found.append(front.value(model, own))
        return np.array(found)


def _none(_model: Any) -> dict[str, Any]:
    return {}


def _no_rounds() -> Any:
    raise ConfigError("audit: candidates are trained as they are, not pruned in rounds")


def _spread(values: FloatArray) -> float | None:
    return round(float(values.std(ddof=1)), DIGITS) if len(values) > 1 else None


def _drawn(plans: Plans, front: TransformerFront, rng: np.random.Generator) -> list[BlockPlan]:
    """Return plans that keep as many units of each layer, drawn at random; whole groups of heads where these do."""
    made = []
    for block, plan in zip(front.opened.anatomy.blocks, plans, strict=True):
        size = block.attention.group if block.attention.whole_groups(plan.heads) else 1
        bundles = np.sort(rng.choice(block.attention.heads // size, len(plan.heads) // size, replace=False))
        heads = (bundles[:, np.newaxis] * size + np.arange(size)).reshape(-1).astype(np.int64)
        neurons = np.sort(rng.choice(block.neurons, len(plan.neurons), replace=False)).astype(np.int64)
        key = ("drawn", heads.tobytes(), neurons.tobytes(), plan.bits, plan.kept)
        made.append(replace(plan, key=key, heads=heads, neurons=neurons))
    return made


def arms_findings(
    ways: dict[str, FloatArray], where: str, minimised: Callable[[FloatArray], FloatArray]
) -> list[Finding]:
    """Say whether a fine-tuned shape beats the same shape with fresh weights, and with random units.

    Args:
        ways: The quality after each training, shape (repeats,), by way.
        where: The shape, as in "1,000 parameters".
        minimised: Turns the quality so that less is better.
    """
    verdicts = {
        SCRATCH: ("weights against shape", "the weights matter", "only the shape matters"),
        RANDOM: ("criterion against random units", "it matters which units stay", "random units do as well"),
    }
    own, found = minimised(ways[TUNED]), []
    for way, (name, better, not_better) in verdicts.items():
        other = minimised(ways[way])
        value = float(other.mean() - own.mean())
        error = math.sqrt(sum(float(each.var(ddof=1)) / len(each) if len(each) > 1 else 0.0 for each in (own, other)))
        low, high = value - STANDARD_ERRORS * error, value + STANDARD_ERRORS * error
        lost = low <= 0 if way == RANDOM else high < 0
        sentence = (
            f"At {where} {better if low > 0 else not_better}: {ways[TUNED].mean():.4g} fine-tuned, "
            f"{ways[way].mean():.4g} {way}; difference {value:.4g} with a standard error of {error:.3g}."
        )
        found.append(Finding(f"{name} at {where}", value, low, high, lost, sentence))
    return found
