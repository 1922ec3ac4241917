"""What the criteria are worth: error after pruning by them, agreement with leaving units out one by one, and seconds.

python benchmarks/criteria.py [--quick] [--no-record] [--rounds SEEDS]
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import spearmanr
from shared.landscapes import FloatArray
from shared.network_bench import Source
from shared.processes import progress
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread, digits

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.evidence import Evidence, Scores
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.criteria.by_name import CHANNELS, criterion_named
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.runner import PlainRunner, Runner, runner_of
from emoprune.problems.networks.evaluation.scoring import calibration_images
from emoprune.problems.networks.unpruned.by_name import data_named
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split
from emoprune.space import IntArray

SHARES = (0.75, 0.5, 0.25)
UNITS = 16  # of each coupling group that are left out, one at a time
MEGABYTES = 1024

NOTES = """\
- One trained network. A seed draws {calibrating} other training images for criteria to look at, and the scores of
  `random`; figures are the median with the smallest and the largest over the seeds, one where all are alike.
- Error: on {scored:,} test images, once every coupling group keeps that share of its units, those that the criterion
  ranks highest. Batch-norm statistics are estimated anew, no weight is changed: `mfac` and `lasso` have
  compensations of their own, which are left out here. The unpruned network errs on {unpruned:.1%}.
- Agreement: Spearman's correlation within a coupling group, mean over the {groups} groups, between the scores and how
  much the loss on {scored:,} images of the search part rises when that unit alone is left out, statistics estimated
  anew; {left_out} units, drawn once, the same for all.
- Seconds: CPU time for all scores of the network, on one thread.
"""


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Units of one coupling group, shape (units,), and by how much the loss rises without each, shape (units,)."""

    group: int
    units: IntArray
    rises: FloatArray


def criteria() -> dict[str, Criterion]:
    """Return all installed criteria that rank the channels of a network."""
    found = {}
    for name in plugins.available("criterion"):
        try:
            found[name] = criterion_named(name, CHANNELS)
        except ConfigError:
            continue  # it ranks the parts of other problems
    return found


def losses(runner: Runner, bench: Bench, variants: Sequence[Variant]) -> FloatArray:
    """Return the cross-entropy of each variant on the search part."""
    labels = bench.images[Split.SEARCH].labels
    outputs = runner.outputs(variants, Split.SEARCH)
    return np.array([float(torch.nn.functional.cross_entropy(own.double(), labels)) for own in outputs])


def left_out(bench: Bench, runner: Runner, count: int) -> list[LeftOut]:
    """Leave `count` units of each coupling group out, one at a time."""
    structure = bench.structure
    slicer = Slicer(bench, [np.zeros(units) for units in structure.units])
    rng = np.random.default_rng(0)
    whole = losses(runner, bench, [slicer.variant_of(structure.full)])[0]
    found = []
    for group, units in enumerate(structure.units):
        progress(f"leaving out units of {structure.groups[group].name}")
        drawn = np.sort(rng.choice(units, min(count, units), replace=False))
        variants = []
        for unit in drawn:
            kept = list(structure.full)
            kept[group] = np.delete(kept[group], unit)
            variants.append(slicer.variant_of(kept))
        found.append(LeftOut(group, drawn, losses(runner, bench, variants) - whole))
    return found


def agreement(scores: Sequence[Scores], alone: Sequence[LeftOut]) -> float:
    """Return the mean rank correlation of scores with what leaving units out costs; groups scored alike count 0."""
    found = []
    for each in alone:
        own = scores[each.group][each.units]
        found.append(0.0 if np.ptp(own) == 0 or np.ptp(each.rises) == 0 else spearmanr(own, each.rises).statistic)
    return float(np.mean(found))


def errors(bench: Bench, scores: Sequence[Scores]) -> list[float]:
    """Return the error on the test part of the networks that keep each of the shares.

    Put through the network from its first layer, because what shares activations takes equal widths for equal units.
    """
    full = np.array(bench.structure.units)
    slicer = Slicer(bench, scores)
    variants = [slicer.variant(np.maximum(1, np.round(full * share)).astype(np.int64)) for share in SHARES]
    labels = bench.images[Split.TEST].labels
    outputs = PlainRunner(bench, AdaptiveBatchNorm()).outputs(variants, Split.TEST)
    return [float((own.argmax(dim=1) != labels).double().mean()) for own in outputs]


def evidence_of(bench: Bench, train: LabelledImages, seed: int) -> Evidence:
    """Return what criteria look at with this seed: training images of its own draw."""
    count = len(bench.calibration.labels)
    rows = np.sort(np.random.default_rng(seed).choice(len(train), min(len(train), 4 * count), replace=False))
    drawn = calibration_images(LabelledImages(train.images[rows], train.labels[rows]), count, bench.device)
    return Evidence(bench.network, bench.structure, drawn, seed)


def written(figure: str, value: float) -> str:
    """Write a figure as its column has it."""
    if figure.startswith("error"):
        return f"{value:.1%}"
    return f"{value:.2f}" if figure == "agreement" else digits(value)


def row(name: str, seen: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """Return a criterion's row: every figure with its spread over the seeds, one alone where it has none."""
    cells = []
    for figure in seen[0]:
        spread = Spread.of([own[figure] for own in seen])
        median, low, high = (written(figure, value) for value in (spread.median, spread.low, spread.high))
        cells.append(median if low == high else f"{median} ({low} to {high})")
    return (name, *cells)


def main() -> None:
    """Measure, print and record."""
    chosen = arguments(__doc__ or "", rounds=3).parse_args()
    torch.set_num_threads(1)
    seeds, count = (2, 3) if chosen.quick else (chosen.rounds, UNITS)
    with tempfile.TemporaryDirectory(prefix="criteria-") as folder:
        source = Source.best(folder, quick=chosen.quick)
        bench = source.bench()
    train = data_named(source.data).train
    runner = runner_of(bench, AdaptiveBatchNorm(), MEGABYTES * 2**20, "float32").runner
    alone = left_out(bench, runner, count)
    rows = []
    for name, criterion in criteria().items():
        seen = []
        for seed in range(seeds):
            progress(f"{name}, seed {seed}")
            evidence = evidence_of(bench, train, seed)
            begun = time.process_time()
            scores = criterion(evidence)
            seconds = time.process_time() - begun
            after = errors(bench, scores)
            pruned = {f"error {share}": error for share, error in zip(SHARES, after, strict=True)}
            seen.append({**pruned, "agreement": agreement(scores, alone), "seconds": seconds})
        rows.append((seen, row(name, seen)))
    rows.sort(key=lambda each: float(np.median([own["error 0.5"] for own in each[0]])))
    columns = ("criterion", *(f"error at {share:.0%} of the units" for share in SHARES))
    table = Table(
        f"Criteria, the best at half of the units first; {seeds} seeds.",
        (*columns, "agreement with leaving out", "CPU seconds"),
        [cells for _, cells in rows],
    )
    labels = bench.images[Split.TEST].labels
    whole = runner.outputs([Variant(bench.network, {}, adapted=False)], Split.TEST)[0]
    notes = NOTES.format(
        calibrating=len(bench.calibration.labels),
        scored=len(labels),
        unpruned=float((whole.argmax(dim=1) != labels).double().mean()),
        groups=len(alone),
        left_out=sum(len(each.units) for each in alone),
    )
    title = f"Criteria ({source.network} on {source.data})"
    publish(Report(title, (table,), notes, ("emoprune", "torch", "numpy", "scipy")), chosen)


if __name__ == "__main__":
    main()
