"""How fast pruned networks are scored, beside masking and beside cutting each one anew; and what a front is in time.

python benchmarks/networks.py [--quick] [--no-record] [--rounds N] [--crossover NAME]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.network_bench import Source, searched
from shared.network_bound import seconds_alone, shared_share
from shared.network_front import MULTIPLES, front_table, mean_share
from shared.network_ways import MASKED, PRUNED, SLICED, Way, timed
from shared.processes import alone, interleaved
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread, digits

from emoprune.space import IntArray

REUSED = "emoprune, sharing"
BARE = "bound: bare layers"
WAYS = (
    Way(MASKED),
    Way(PRUNED),
    Way(SLICED),
    *(Way(REUSED, megabytes) for megabytes in (64, 256, 1024)),
    Way(REUSED, 1024, "bfloat16"),
    Way(BARE),
)
EVERY = 4  # of the candidates, those that the peers are timed on: what they take does not depend on the neighbours

NOTES = """\
- Candidates: {count} in a row from the middle of one NSGA-II search of {evaluations} evaluations with the engine's
  defaults and {crossover} crossover, in the pieces in which the engine hands them over; on average they have
  {share:.0%} of the unpruned network's multiply-accumulates. All ways start with nothing kept, on one thread. The peers
  are timed on every fourth candidate.
- A candidate is scored on {scored:,} images after its batch-norm statistics were estimated anew on {calibrating}
  images, in all ways.
- CPU seconds, because other work on the machine spoils the clock; the clock's are beside them. Ratios are of the same
  round. Kept: how much memory held activations at the end, of which the limit allows as much as stands in the row.
- The bound is what sharing cannot go below on these candidates: the processor's time inside the weighted layers alone,
  in 32 bits, each once for all candidates that are alike up to it, whatever memory that would take. That is
  {shared:.0%} of the unpruned network's multiply-accumulates, at the lower rate of narrow layers.
- Other predictions: share of the {scored:,} images whose predicted class is not the one of the masked network.
- The front: every network is measured in turns with the others, so that a busy moment hits all of them; latency is of
  one batch of {batch} images on one thread, channels last. Shares are of the unpruned network's.
"""


def middle(asked: Sequence[IntArray], count: int) -> list[IntArray]:
    """Return `count` candidates' widths from the middle of a search, in the pieces in which they were asked for."""
    total = sum(map(len, asked))
    pieces: list[IntArray] = []
    passed = 0
    for piece in asked:
        passed += len(piece)
        if passed > (total - count) // 2 and sum(map(len, pieces)) < count:
            pieces.append(piece)
    return pieces


def measure(part: Mapping[str, Any]) -> None:
    """Score as one way says, in this process, and print what it took."""
    torch.set_num_threads(1)
    way, source = Way(**part["way"]), Source(**part["source"])
    with np.load(part["pieces"]) as loaded:
        pieces = [loaded[name] for name in loaded.files]
    if way.name == BARE:
        widths = np.concatenate(pieces)
        print(json.dumps({"cpu": seconds_alone(source.bench(), widths) / len(widths)}))
        return
    every = EVERY if way.name in {MASKED, PRUNED} else 1
    if every > 1:
        pieces = [np.concatenate(pieces)[::every]]
    found = timed(way, source.bench(), pieces)
    count = sum(map(len, pieces))
    predicted = [outputs.argmax(dim=1).tolist() for outputs in found.outputs[:: EVERY // every]]
    print(
        json.dumps(
            {
                "cpu": found.cpu / count,
                "wall": found.wall / count,
                "kept": found.kept_megabytes,
                "predicted": predicted,
            }
        )
    )


def speed_table(found: Mapping[Way, Sequence[Mapping[str, Any]]]) -> Table:
    """Return candidates per second of every way, and how often it predicts something else than masking."""
    by_name = {way.name: rounds for way, rounds in found.items() if way.megabytes is None}
    rows = []
    for way, rounds in found.items():
        ratios = [
            str(Spread.of_ratios([each["cpu"] for each in by_name[peer]], [each["cpu"] for each in rounds]))
            for peer in (MASKED, PRUNED)
        ]
        counted = way.name == BARE
        rows.append(
            (
                way.name,
                "-" if way.megabytes is None else f"{way.megabytes:,} MiB",
                way.precision,
                str(Spread.of([1 / each["cpu"] for each in rounds])),
                "-" if counted else str(Spread.of([1 / each["wall"] for each in rounds])),
                *ratios,
                "-" if counted else digits(max(each["kept"] for each in rounds)),
                "-" if counted else f"{_others(rounds, by_name[MASKED]):.4%}",
            )
        )
    columns = (
        *("way", "limit", "precision", "candidates per CPU second", "per second by the clock"),
        *("times masked", "times Torch-Pruning", "kept MB", "other predictions"),
    )
    return Table("Scoring pruned networks: median (smallest-largest).", columns, rows)


def _others(rounds: Sequence[Mapping[str, Any]], masked: Sequence[Mapping[str, Any]]) -> float:
    return float(np.mean(np.array(rounds[0]["predicted"]) != np.array(masked[0]["predicted"])))


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one way in this process")
    parser.add_argument("--crossover", default="uniform", help="of the search that the candidates are from (uniform)")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    torch.set_num_threads(1)
    population, generations, count, rounds = (8, 2, 8, 1) if chosen.quick else (40, 15, 200, chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="networks-") as place:
        folder = Path(place)
        source = Source.best(str(folder), quick=chosen.quick)
        bench = source.bench()
        problems = {
            each: searched(bench, folder, population, generations, each, chosen.crossover) for each in MULTIPLES
        }
        pieces = middle(problems[1].asked, count)
        np.savez(folder / "pieces.npz", *pieces)
        shared = {"source": asdict(source), "pieces": str(folder / "pieces.npz")}
        found = interleaved(WAYS, rounds, lambda way: alone({**shared, "way": asdict(way)}))
        front = front_table(bench, problems)
    notes = NOTES.format(
        count=count,
        crossover=chosen.crossover,
        evaluations=f"{population * generations:,}",
        share=mean_share(bench, np.concatenate(pieces)),
        shared=shared_share(bench, np.concatenate(pieces)),
        scored=source.scored,
        calibrating=source.calibrating,
        batch=min(256, source.scored),
    )
    title = f"Scoring pruned networks ({source.network} on {source.data})"
    packages = ("emoprune", "torch", "torch-pruning", "numpy")
    publish(Report(title, (speed_table(found), front), notes, packages), chosen)


if __name__ == "__main__":
    main()
