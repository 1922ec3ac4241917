"""How many pruned prompts are measured per second: emoprune beside the plain batched way of the published evaluator.

python benchmarks/prompts.py [--quick] [--no-record] [--rounds N]
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared.processes import alone, interleaved
from shared.prompt_data import PromptSet
from shared.prompted import published
from shared.recording import Report, Table, arguments, publish
from shared.spreads import Spread

from emoprune.problems.prompts.references.ranked import kept_by
from emoprune.problems.prompts.tokens import PromptTokens
from emoprune.records import Split
from emoprune.space import IntArray

OURS, GIVEN_UP, PUBLISHED = "emoprune", "emoprune, given up at the first grade", "published way"
SHARES = (1.0, 0.9, 0.75, 0.6, 0.45, 0.3)  # of the tokens that a measured candidate keeps

NOTES = """\
- One thread each, in processes of their own; CPU seconds of the measuring alone, after a first candidate that is not
  counted. SmolLM2-135M-Instruct in float32, the 32 search rows of seed 0 of SST-2, candidates that keep 30 to 100 % of
  the tokens.
- `published way`: the prompt about all examples in one padded batch, `model(**tokenizer(texts))`, all of the vocabulary
  at every position, as PromptQuine's evaluator does it. `emoprune` measures every candidate on all rows, too.
- `given up at the first grade`: what `search.grades` measures of a candidate that is shown to be dominated after a
  quarter of the rows.
"""


def candidates(problem: PromptTokens) -> IntArray:
    """Return genomes that keep shares of the tokens at random."""
    rng = np.random.default_rng(1)
    return np.stack([kept_by(rng.random(len(problem.space)), problem.space, share) for share in SHARES])


def ours(problem: PromptTokens, genome: IntArray) -> list[int]:
    """Return the predicted class of every search row, as the search computes it."""
    task = problem._task  # noqa: SLF001  # predictions are not among what a search returns
    prompted = task.scoring().prompted(problem._template(genome), Split.SEARCH)  # noqa: SLF001
    rows = np.arange(len(task.data.parts[Split.SEARCH]))
    found: list[int] = prompted.choices(rows).argmax(axis=1).tolist()
    return found


def first_grade(problem: PromptTokens, genome: IntArray) -> list[int]:
    """Measure a prompt that is given up as soon as it can be, and return nothing: its row is no prediction."""
    blocks = range(problem.grades[0])
    problem.evaluate_blocks(genome[None], np.zeros(1, dtype=np.uint64), Split.SEARCH, blocks)
    return []


WAYS: Mapping[str, Callable[[PromptTokens, IntArray], list[int]]] = {
    OURS: ours,
    GIVEN_UP: first_grade,
    PUBLISHED: published,
}


def measure(part: dict[str, Any]) -> dict[str, Any]:
    """Measure one way on one prompt: CPU seconds of each candidate, and predictions."""
    torch.set_num_threads(1)
    source = PromptSet.of("sst-2", quick=part["quick"])
    problem = source.problem(
        source.prompts(part["shots"])[0],
        references=(),
        search_examples=8 if part["quick"] else 32,
    )
    with tempfile.TemporaryDirectory() as folder:
        problem.prepare(Path(folder), 1)
    problem.setup("cpu", 1)
    way, genomes = WAYS[part["way"]], candidates(problem)[: part["count"]]
    way(problem, genomes[-1])
    seconds, predicted = [], []
    for genome in genomes:
        begun = time.process_time()
        predicted.append(way(problem, genome))
        seconds.append(time.process_time() - begun)
    return {"seconds": seconds, "predicted": predicted}


def speed_table(found: Mapping[tuple[str, int], Sequence[dict[str, Any]]], shots: Sequence[int]) -> Table:
    """Return candidates per second and the ratio to the published way, round by round."""
    rows = []
    for count in shots:
        peer = [float(np.mean(each["seconds"])) for each in found[PUBLISHED, count]]
        for way in WAYS:
            own = [float(np.mean(each["seconds"])) for each in found[way, count]]
            rows.append(
                (
                    f"{count}-shot",
                    way,
                    str(Spread.of(own)),
                    str(Spread.of([1 / each for each in own])),
                    str(Spread.of_ratios(peer, own)),
                    _alike(found[way, count], found[PUBLISHED, count]),
                )
            )
    columns = ("prompt", "way", "CPU s per candidate", "candidates per CPU s", "times as fast", "predictions alike")
    return Table("Measuring a candidate on the search rows: median (smallest-largest) over the rounds.", columns, rows)


def _alike(own: Sequence[dict[str, Any]], peer: Sequence[dict[str, Any]]) -> str:
    """Return how many predictions are the peer's in every round; a round repeats them, so each counts once."""
    mine, theirs = (
        np.array([[row for one in each["predicted"] for row in one] for each in found]) for found in (own, peer)
    )
    if mine.shape != theirs.shape:
        return "-"
    return f"{int((mine == theirs).all(axis=0).sum())} of {theirs.shape[1]}"


def main() -> None:
    """Measure, compare, print and record."""
    parser = arguments(__doc__ or "", rounds=3)
    parser.add_argument("--alone", help="one measurement, as this script starts it")
    chosen = parser.parse_args()
    if chosen.alone:
        print(json.dumps(measure(json.loads(chosen.alone))))
        return
    shots = (1,) if chosen.quick else (1, 4)
    rounds, count = (1, 2) if chosen.quick else (chosen.rounds, len(SHARES))
    cells = [(way, number) for number in shots for way in WAYS]
    part = {"quick": chosen.quick, "count": count}
    found = interleaved(cells, rounds, lambda cell: alone({**part, "way": cell[0], "shots": cell[1]}))
    packages = ("emoprune", "torch", "transformers")
    publish(Report("Prompts measured per second", [speed_table(found, shots)], NOTES, packages), chosen)


if __name__ == "__main__":
    main()
