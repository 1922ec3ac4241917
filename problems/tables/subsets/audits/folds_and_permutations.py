"""Whether a front can be believed: scores on fresh folds and held-out rows, and a target that was shuffled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, kendalltau

from emoprune.contracts import Audit, Finding, Table, about
from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.learners.guessing import Guess
from emoprune.problems.tables.rows.splits import Block, folds_of
from emoprune.problems.tables.scores.racing import spread_of
from emoprune.problems.tables.subsets.audits.contract import SubsetFront
from emoprune.problems.tables.table import Table as Data
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["FoldsAndPermutations", "guessed"]

FloatArray = NDArray[np.float64]

CLEARLY = 3.0  # spreads


@about(
    "audit",
    ["columns", "formulas"],
    serves=["features", "feature-subset"],
    cost="models of each subset: on all folds again for each repeat and each permutation",
    training=True,
)
@dataclass(frozen=True, slots=True)
class FoldsAndPermutations:
    """How far the scores that led the search hold: on fresh folds, on held-out rows, and with a shuffled target.

    Args:
        repeats: How often the rows are cut into fresh folds.
        permutations: How often the target is shuffled.
    """

    repeats: int = 5
    permutations: int = 3

    def __post_init__(self) -> None:
        if self.repeats < 2 or self.permutations < 1:
            raise ConfigError(
                f"expected at least 2 repeats and 1 permutation, found {self.repeats} and {self.permutations}; ask for "
                "more"
            )

    def __call__(self, front: SubsetFront) -> Audit:
        """Return four findings, and a table of the subsets."""
        task, loaded, subsets = front.task, front.loaded, front.subsets
        led = np.array([task.losses(loaded, task.parts.folds, terms, 0).mean() for terms in subsets])
        rows = np.sort(np.concatenate([task.parts.search, task.parts.select.scored]))
        seeds = [front.seed + turn + 1 for turn in range(self.repeats)]
        folds = [folds_of(task.table, rows, task.options.cut, seed) for seed in seeds]
        fresh = np.array([[_mean_loss(task, loaded, own, terms) for own in folds] for terms in subsets])
        held = np.array([_mean_loss(task, loaded, (task.parts.test,), terms) for terms in subsets])
        findings = [
            _agreement(led, fresh.mean(axis=1), "fresh folds"),
            _agreement(led, held, "the rows to test on"),
            _optimism(led, held, task),
            _shuffled(task, subsets, self.permutations, front.seed),
        ]
        return Audit(findings, {"subsets": _table(task, subsets, led, fresh, held)})


def _mean_loss(task: TableTask, loaded: Loaded, blocks: Sequence[Block], terms: Sequence[Term]) -> float:
    losses = []
    for block in blocks:
        model = loaded.learner.fitted(loaded.computed, block, terms, 0)
        predictions = model.predict(loaded.computed.matrix(terms, block, block.scored))
        table = loaded.computed.table
        losses.append(
            task.measures.metric.loss(table.target[block.scored], predictions, table.weights_of(block.scored))
        )
    return float(np.mean(losses))


def _agreement(led: FloatArray, other: FloatArray, where: str) -> Finding:
    """Say how well the scores that led the search rank the subsets elsewhere."""
    name = f"rank agreement with {where}"
    if np.ptp(led) == 0 or np.ptp(other) == 0:
        return Finding(name, 0.0, None, None, alarm=False, sentence=f"All subsets score alike on {where}.")
    found = kendalltau(led, other)
    value = float(found.statistic)
    sentence = (
        f"Kendall's tau between the search's scores and those on {where} is {value:.2f} (p = {found.pvalue:.2g})."
    )
    if value <= 0:
        sentence += " The search ranked these subsets no better than chance."
    return Finding(name, value, None, None, alarm=value <= 0, sentence=sentence)


def _optimism(led: FloatArray, held: FloatArray, task: TableTask) -> Finding:
    differences = held - led
    metric = task.measures.metric.name
    low = high = None
    if len(differences) > 1 and np.ptp(differences) > 0:
        interval = bootstrap((differences,), np.mean, rng=np.random.default_rng(1)).confidence_interval
        low, high = float(interval.low), float(interval.high)
    value = float(differences.mean())
    alarm = low is not None and low > 0 and value > 0.5 * float(np.abs(led).mean())
    sentence = f"On the rows to test on {metric} is worse than in the search by {value:.4g} on average."
    return Finding("optimism", value, low, high, alarm=alarm, sentence=sentence)


def _shuffled(task: TableTask, subsets: Sequence[tuple[Term, ...]], permutations: int, seed: int) -> Finding:
    """Learn a shuffled target with every subset: whoever predicts it better than a constant has seen it somewhere."""
    table, rng = task.table, np.random.default_rng(seed)
    gains = []
    worst = 0.0
    for _ in range(permutations):
        target = table.target.copy()
        target[task.parts.search] = rng.permutation(target[task.parts.search])
        shuffled = table.with_target(target)
        loaded = Loaded(Computed(shuffled), task.plan.made(table.task, 1))
        guess, spread = _guessing(task, shuffled)
        for terms in subsets:
            gain = guess - _mean_loss(task, loaded, task.parts.folds, terms)
            gains.append(gain)
            worst = max(worst, gain / spread if spread else 0.0)
    value = float(np.mean(gains))
    alarm = worst > CLEARLY
    sentence = f"With a shuffled target the subsets gain {value:.4g} over guessing"
    sentence += "; something in the inputs tells the target of held-out rows." if alarm else ": there is no leak."
    return Finding("gain on a shuffled target", value, float(min(gains)), float(max(gains)), alarm, sentence)


def guessed(table: Data, block: Block) -> FloatArray:
    """Return what is predicted for a block by its training rows' mean or class frequencies, whatever the inputs say."""
    return Guess.of(table, block).predict(np.zeros((len(block.scored), 0)))


def _guessing(task: TableTask, shuffled: Data) -> tuple[float, float]:
    """Return the mean loss of guessing over the folds, and its spread."""
    metric, losses, spreads = task.measures.metric, [], []
    for block in task.parts.folds:
        predictions, target = guessed(shuffled, block), shuffled.target[block.scored]
        weights = shuffled.weights_of(block.scored)
        losses.append(metric.loss(target, predictions, weights))
        spreads.append(spread_of(metric, target, predictions, weights))
    return float(np.mean(losses)), float(np.sqrt(np.square(spreads).sum()) / len(spreads))


def _table(
    task: TableTask, subsets: Sequence[tuple[Term, ...]], led: FloatArray, fresh: FloatArray, held: FloatArray
) -> Table:
    metric = task.measures.metric
    sign = -1.0 if metric.maximised else 1.0
    return [
        {
            "inputs": len(terms),
            f"{metric.name}, search": sign * float(led[place]),
            f"{metric.name}, fresh folds": sign * float(fresh[place].mean()),
            "deviation over repeats": float(fresh[place].std(ddof=1)),
            f"{metric.name}, test": sign * float(held[place]),
        }
        for place, terms in enumerate(subsets)
    ]
