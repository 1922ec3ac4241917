"""How a front does on data that it was not searched on: another part, another text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Audit, Direction, Finding, FloatArray, about
from emoprune.problems.networks.evaluation.quality import Quality
from emoprune.problems.networks.statistics.correlations import kendall_tau
from emoprune.problems.networks.statistics.intervals import bootstrapped
from emoprune.problems.networks.transformers.audits.contract import TransformerFront

__all__ = ["Domains", "domain_findings", "ranking_finding"]

GAP = 0.05  # of what the unpruned model does: the least that is worth an alarm
FEWEST = 5  # candidates: four are in one order by chance once in 24


@about(
    "audit",
    ["heads", "neurons"],
    serves=["heads-and-neurons"],
    cost="every candidate measured on the search part, the test part, and other data",
)
@dataclass(frozen=True, slots=True)
class Domains:
    """Does the search part rank the front as the test part does, and how does the front do on other data?

    Args:
        other_data: A text, or a table or images with the same classes; by default Python's own source code for a
            language model, and nothing for a classifier.
    """

    other_data: str | None = None

    def __call__(self, front: TransformerFront) -> Audit:
        """Return the rank correlation, and how much of the unpruned model's quality candidates keep elsewhere."""
        elsewhere = front.elsewhere(self.other_data)
        search, test = (front.values(part) for part in ("search", "test"))
        ranking = ranking_finding(search[1:], test[1:], front.quality.name, np.random.default_rng(front.seed))
        there = {name: front.values("other", batches) for name, batches in elsewhere.items()}
        findings, rows = domain_findings(test, there, front.quality)
        return Audit([ranking, *findings], {"other data": rows} if rows else {})


def ranking_finding(search: FloatArray, test: FloatArray, measure: str, rng: np.random.Generator) -> Finding:
    """Say how well what led the search ranks candidates on the test part; both of shape (candidates,)."""
    name = f"Kendall tau of {measure}, search to test"
    found = bootstrapped(kendall_tau(search, test), len(search), rng)
    if len(search) < FEWEST or not found.defined:
        sentence = f"{len(search)} candidates are too few to tell the ranking from chance; audit more."
        return Finding(name, 0.0 if np.isnan(found.value) else found.value, -1.0, 1.0, alarm=True, sentence=sentence)
    sentence = (
        f"The search part ranks the front as the test part does with a Kendall tau of {found.value:.2f} (95 % from "
        f"{found.low:.2f} to {found.high:.2f}, {found.count} candidates)"
    )
    sentence += "." if found.low > 0 else ", no better than chance: give the search more data."
    return Finding(name, found.value, found.low, found.high, alarm=found.low <= 0, sentence=sentence)


def domain_findings(
    own: FloatArray, others: Mapping[str, FloatArray], quality: Quality
) -> tuple[list[Finding], list[dict[str, str | float | int | None]]]:
    """Say how much of the unpruned model's quality candidates keep on other data, beside their own.

    What is kept is the unpruned value over the candidate's own, or the other way round where more is better, 1 for no
    loss; for perplexity this is the geometric mean of the probabilities of the next token, relative to the unpruned
    model's.

    Args:
        own: The quality on the test part, of the unpruned model and then of each candidate, shape (1 + candidates,).
        others: The same on other texts.
        quality: Its name and its direction.
    """
    findings: list[Finding] = []
    rows: list[dict[str, str | float | int | None]] = []
    measure, kept_here = quality.name, _kept(own, quality)
    for name, values in others.items():
        kept = _kept(values, quality)
        gaps = kept_here - kept
        gap = float(gaps.mean())
        alarm = gap > GAP
        verdict = "the front is tuned to the text it was searched on" if alarm else "what was searched here holds there"
        sentence = (
            f"On {name} the front keeps {kept.mean():.0%} of the unpruned model's {measure}, on its own test part "
            f"{kept_here.mean():.0%}: a gap of {gap:+.0%} ({gaps.min():+.0%} to {gaps.max():+.0%}); {verdict}."
        )
        findings.append(Finding(f"{measure} kept, {name}", gap, float(gaps.min()), float(gaps.max()), alarm, sentence))
        rows += [
            {
                "number": number + 1,
                "measured on": name,
                measure: round(float(value), 5),
                f"{measure} on its own test part": round(float(here), 5),
                "kept": round(float(there), 4),
                "kept on its own": round(float(mine), 4),
            }
            for number, (value, here, there, mine) in enumerate(zip(values[1:], own[1:], kept, kept_here, strict=True))
        ]
    return findings, rows


def _kept(values: FloatArray, quality: Quality) -> FloatArray:
    if quality.measure.direction is Direction.MAXIMISE:
        return np.asarray(values[1:] / np.maximum(values[0], 1e-12))
    return np.asarray(values[0] / np.maximum(values[1:], 1e-12))
