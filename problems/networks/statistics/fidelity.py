"""Does the proxy foretell the result: rankings, choices and scores judged, each in one plain sentence.

Method: Is Oracle Pruning the True Oracle?, arXiv 2412.00143. Along a front the cost alone gives a ranking, so the
rankings are also held against each other among networks of equal cost, and with the cost taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from emoprune.contracts import Finding, FloatArray
from emoprune.errors import ContractError
from emoprune.problems.networks.statistics.correlations import anomaly_ratio, kendall_tau, partial_tau, regret, spearman
from emoprune.problems.networks.statistics.intervals import RESAMPLES, Estimate, bootstrapped
from emoprune.space import IntArray

__all__ = ["Ranked", "fidelity_findings"]

FEWEST_PAIRS = 10  # five candidates: four are in one order by chance once in 24
FAILING_SHARE = 0.5  # of candidates that beat the proxy's choice, as the paper marks it


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """What the proxy and the final measurement say of the same candidates, less is better, and what they cost.

    `proxy` and `cost` have shape (n,), `final` (n, repeats); `bands` of shape (n,) says which candidates may be
    compared, None all.
    """

    proxy: FloatArray
    final: FloatArray
    cost: FloatArray
    bands: IntArray | None = None

    def __post_init__(self) -> None:
        count = len(self.proxy)
        columns = [self.proxy, self.cost] + ([] if self.bands is None else [self.bands])
        if self.final.ndim != 2 or len(self.final) != count or any(column.shape != (count,) for column in columns):
            raise ContractError(
                f"expected proxy and cost of shape (n,) and final results of shape (n, repeats), found "
                f"{self.proxy.shape}, {self.cost.shape}, {self.final.shape}"
            )

    def __len__(self) -> int:
        return len(self.proxy)

    @property
    def mean(self) -> FloatArray:
        """The mean final result of each candidate, shape (n,)."""
        return np.asarray(self.final.mean(axis=1))

    @property
    def noise(self) -> float:
        """The standard error of a mean final result from repeat to repeat; NaN for one repeat."""
        repeats = self.final.shape[1]
        return math.nan if repeats < 2 else float(np.sqrt(self.final.var(axis=1, ddof=1).mean() / repeats))

    @property
    def pairs(self) -> int:
        """How many pairs of candidates may be compared."""
        sizes = np.array([len(self)]) if self.bands is None else np.unique(self.bands, return_counts=True)[1]
        return int((sizes * (sizes - 1) // 2).sum())

    @classmethod
    def joined(cls, one: Ranked, other: Ranked) -> Ranked:
        """Return all candidates of both, without bands."""
        return cls(*(np.concatenate([getattr(one, own), getattr(other, own)]) for own in ("proxy", "final", "cost")))


def fidelity_findings(front: Ranked, matched: Ranked | None, rng: np.random.Generator) -> list[Finding]:
    """Return what can be said of the proxy over the front, and among networks of equal cost if there are some.

    Args:
        front: Candidates along the front.
        matched: Networks whose cost is that of others in their band.
        rng: Draws the bootstrap.
    """
    findings = _of_set(front, "over the front", rng)
    if matched is not None and matched.pairs:
        findings += _of_set(matched, "at equal cost", rng)
        findings.append(_beside_cost(Ranked.joined(front, matched), rng))
    return findings


def _of_set(ranked: Ranked, where: str, rng: np.random.Generator) -> list[Finding]:
    final, count = ranked.mean, len(ranked)
    tau = bootstrapped(kendall_tau(ranked.proxy, final, ranked.bands), count, rng, ranked.bands)
    anomalies = bootstrapped(anomaly_ratio(ranked.proxy, final, ranked.bands), count, rng, ranked.bands)
    lost = bootstrapped(regret(ranked.proxy, final, ranked.bands), count, rng, ranked.bands)
    findings = [_ranking(f"Kendall tau {where}", tau, ranked.pairs, where, _by_cost(ranked))]
    if ranked.bands is None:
        rho = bootstrapped(spearman(ranked.proxy, final), count, rng)
        findings.append(_ranking(f"Spearman {where}", rho, ranked.pairs, where, ""))
    judged = [_anomalies(anomalies, where), _regret(lost, ranked.noise, where)]
    return [*findings, *judged, *_agreement(ranked, where, rng)]


def _by_cost(ranked: Ranked) -> str:
    """Say what the cost alone would have foretold."""
    if ranked.bands is not None:
        return ""
    alone = float(kendall_tau(-ranked.cost, ranked.mean)(np.ones((1, len(ranked))))[0])
    return "" if math.isnan(alone) else f" Cost alone, the larger the better, gives {alone:.2f}."


def _ranking(name: str, found: Estimate, pairs: int, where: str, also: str) -> Finding:
    """Judge a correlation: no better than chance if its interval holds 0."""
    if math.isnan(found.value):
        sentence = f"The ranking {where} is undefined: all {found.count} candidates score alike."
        return Finding(name, 0.0, -1.0, 1.0, alarm=True, sentence=sentence)
    if pairs < FEWEST_PAIRS or not found.defined:
        sentence = f"{found.count} candidates are too few to tell the proxy's ranking {where} from chance; audit more."
        return Finding(name, found.value, -1.0, 1.0, alarm=True, sentence=sentence)
    numbers = f"{name} is {found.value:.2f}, {_interval(found)}"
    if found.low > 0:
        sentence = f"The proxy foretells the trained order {where} better than chance: {numbers}.{also}"
    elif found.high < 0:
        sentence = f"The proxy ranks backwards {where}: {numbers}.{also}"
    else:
        sentence = f"The proxy is no better than chance {where}: {numbers}, which holds 0.{also}"
    return Finding(name, found.value, found.low, found.high, alarm=found.low <= 0, sentence=sentence)


def _interval(found: Estimate) -> str:
    return (
        f"95 % from {found.low:.2f} to {found.high:.2f} ({found.count} candidates, percentile bootstrap of "
        f"{RESAMPLES:,})"
    )


def _anomalies(found: Estimate, where: str) -> Finding:
    alarm = found.value > FAILING_SHARE
    sentence = (
        f"After training, {found.value:.0%} of the candidates {where} beat the one that the proxy ranks best, "
        f"{_interval(found)}" + (": most of them, so its choice cannot be believed." if alarm else ".")
    )
    return Finding(f"anomaly ratio {where}", found.value, found.low, found.high, alarm, sentence)


def _regret(found: Estimate, noise: float, where: str) -> Finding:
    alarm = found.low > 2 * noise  # never so for one repeat, whose noise is not known
    against = "" if math.isnan(noise) else f"; repeats of one training differ by a standard error of {noise:.4f}"
    sentence = (
        f"Choosing by the proxy {where} gives a trained result {found.value:.4f} worse than the best one, 95 % from "
        f"{found.low:.4f} to {found.high:.4f} ({found.count} candidates, percentile bootstrap of "
        f"{RESAMPLES:,}){against}."
    )
    return Finding(f"regret {where}", found.value, found.low, found.high, alarm, sentence)


def _beside_cost(ranked: Ranked, rng: np.random.Generator) -> Finding:
    found = bootstrapped(partial_tau(ranked.proxy, ranked.mean, ranked.cost), len(ranked), rng)
    return _ranking("partial Kendall tau with the cost held fixed", found, ranked.pairs, "beside the cost", "")


def _agreement(ranked: Ranked, where: str, rng: np.random.Generator) -> list[Finding]:
    """Say how well trained results foretell themselves from repeat to repeat: a proxy can hardly do better."""
    half = ranked.final.shape[1] // 2
    if half == 0:
        return []
    one, other = ranked.final[:, :half].mean(axis=1), ranked.final[:, half:].mean(axis=1)
    found = bootstrapped(kendall_tau(one, other, ranked.bands), len(ranked), rng, ranked.bands)
    if not found.defined or ranked.pairs < FEWEST_PAIRS:
        return []
    lost = found.low <= 0
    sentence = (
        f"Training the candidates {where} again with another seed gives Kendall tau {found.value:.2f} to the first "
        f"time, {_interval(found)}: "
        + ("training is too noisy to rank them; raise repeats." if lost else "a proxy can hardly do better.")
    )
    return [Finding(f"Kendall tau between repeats {where}", found.value, found.low, found.high, lost, sentence)]
