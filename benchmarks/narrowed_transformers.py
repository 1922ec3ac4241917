"""How fast narrowed language models are scored, beside masking the whole model and beside a sliced deep copy.

python benchmarks/narrowed_transformers.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.meters import peak_megabytes, resident_megabytes
from shared.processes import alone, interleaved
from shared.recording import Report, Table, arguments, publish
from shared.small_language import small_model
from shared.spreads import Spread, digits
from shared.transformer_bench import DEEPCOPY, MASKED, SHARING, asked_of_a_search, problem, timed

from emoprune.space import IntArray

WAYS = (MASKED, DEEPCOPY, SHARING)
EVERY = 8  # of the candidates, those that the peers are timed on: what they take does not depend on the neighbours

NOTES = """\
- Candidates: the last {count} of one NSGA-II search of {evaluations} evaluations, one-point crossover, in the pieces
  in which the engine hands them over; on average they have {share:.0%} of the unpruned model's parameters. All ways
  start with nothing kept, on one thread. The peers are timed on every {every}th candidate.
- A candidate is scored by its perplexity on {tokens:,} tokens. Nothing is repaired here: a masked model cannot be.
- CPU seconds, because other work on the machine spoils the clock; the clock's are beside them. Ratios are of the same
  round. Memory: the highest of the process, and how much of it came after the model was loaded.
- Largest difference: of a perplexity from the masked model's, as a share of it.
"""


def measure(part: Mapping[str, Any]) -> None:
    """Score as one way says, in this process, and print what it took."""
    torch.set_num_threads(1)
    with np.load(part["pieces"]) as loaded:
        pieces = [loaded[name] for name in loaded.files]
    if part["way"] != SHARING:
        pieces = [np.concatenate(pieces)[::EVERY]]
    own = problem(part["model"], part["data"], part["windows"])
    own.prepare(Path(part["folder"]), 1)
    before = resident_megabytes()
    own.setup("cpu", 1)
    found = timed(part["way"], own, pieces)
    count = sum(map(len, pieces))
    perplexities = found.perplexities if part["way"] != SHARING else found.perplexities[::EVERY]
    facts = {"cpu": found.cpu / count, "wall": found.wall / count, "perplexities": perplexities}
    print(json.dumps({**facts, "peak": peak_megabytes(), "more": peak_megabytes() - before}))


def speed_table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Return candidates per second of every way, its memory, and how its scores differ from masking's."""
    rows = []
    for way, rounds in found.items():
        ratios = [
            str(Spread.of_ratios([each["cpu"] for each in found[peer]], [each["cpu"] for each in rounds]))
            for peer in (MASKED, DEEPCOPY)
        ]
        expected = np.array(found[MASKED][0]["perplexities"])
        other = np.abs(np.array(rounds[0]["perplexities"]) / expected - 1).max()
        rows.append(
            (
                way,
                str(Spread.of([1 / each["cpu"] for each in rounds])),
                str(Spread.of([1 / each["wall"] for each in rounds])),
                *ratios,
                digits(max(each["peak"] for each in rounds)),
                digits(max(each["more"] for each in rounds)),
                f"{other:.1e}",
            )
        )
    columns = (
        *("way", "candidates per CPU second", "per second by the clock", "times masked", "times deepcopy"),
        *("peak MB", "of it after loading", "largest difference"),
    )
    return Table("Scoring narrowed language models: median (smallest-largest).", columns, rows)


def main() -> None:
    """Measure, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", metavar="JSON", help="measure one way in this process")
    chosen = parser.parse_args()
    if chosen.alone is not None:
        measure(json.loads(chosen.alone))
        return
    torch.set_num_threads(1)
    population, generations, count, windows, rounds = (8, 2, 8, 4, 1) if chosen.quick else (24, 8, 72, 8, chosen.rounds)
    with tempfile.TemporaryDirectory(prefix="transformers-") as place:
        folder = Path(place)
        model, data = small_model(folder) if chosen.quick else ("smollm2", "python-topics")
        own = problem(model, data, windows)
        pieces = last(asked_of_a_search(own, folder, population, generations), count)
        np.savez(folder / "pieces.npz", *pieces)
        prepared = next((folder / "transformers").rglob("scores.safetensors")).parent
        shared = {"model": model, "data": data, "windows": windows, "pieces": str(folder / "pieces.npz")}
        shared["folder"] = str(prepared)
        found = interleaved(WAYS, rounds, lambda way: alone({**shared, "way": way}))
    sizes = [own.describe(genome)["parameters share"] for genome in np.concatenate(pieces)]
    notes = NOTES.format(
        count=sum(map(len, pieces)),
        evaluations=population * generations,
        share=float(np.mean(np.array(sizes, dtype=np.float64))),
        every=EVERY,
        tokens=windows * 127,
    )
    packages = ("emoprune", "torch", "transformers", "numpy")
    publish(Report(f"Scoring narrowed language models ({model})", (speed_table(found),), notes, packages), chosen)


def last(asked: Sequence[IntArray], count: int) -> list[IntArray]:
    """Return the last pieces that hold `count` candidates or more."""
    pieces: list[IntArray] = []
    for piece in reversed(asked):
        if sum(map(len, pieces)) >= count:
            break
        pieces.insert(0, piece)
    return pieces


if __name__ == "__main__":
    main()
