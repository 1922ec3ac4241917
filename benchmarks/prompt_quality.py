"""What pruned prompts are worth on test rows at equal budget: NSGA-II, PromptQuine's loop, TAPruning, random deletion.

python benchmarks/prompt_quality.py [--quick] [--no-record] [--sets NAME ...] [--prompts N] [--keep FOLDER]
    [--tables evaluations seconds] [--budget N] [--seconds N] [--ideas]
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from engines.in_seconds import IDEAS
from engines.in_seconds import SEARCHES as SEARCHES_IN_SECONDS
from engines.on_tokens import SEARCHES
from scipy.stats import binomtest, bootstrap
from shared.processes import progress
from shared.prompt_data import SETS, PromptSet
from shared.prompt_timing import SECONDS_NOTES, Timing, seconds_table
from shared.prompted import Counted, Judge, Spent, random_at
from shared.recording import Report, Table, arguments, publish

from emoprune.front import non_dominated
from emoprune.records import Split
from emoprune.space import IntArray

RANDOM = 2  # deletions at the rate of the chosen prompt
POINTS = 4  # of a front that are measured on the test rows
MOST_AGAIN = 12  # prompts that are measured again on dev rows
OURS, TAPRUNING = "emoprune", "TAPruning"
OTHERS = (TAPRUNING, "PromptQuine")  # whose front is shown, beside which
SHORT = f"{OURS}, at most half"  # the same search's choice among prompts with at most half of the tokens
CHOSEN = f"{TAPRUNING}, chosen on dev"  # of all that it measured, as the others choose
NOTES = """\
- Equal budget: so many different prompts measured on the 32 search rows, the references among them. Nobody sees the dev
  rows before its search is over, and nobody the test rows before it has chosen. Measuring up to 12 prompts on dev rows,
  to choose one, is outside of the budget.
- `emoprune`: as the example config searches. Up to half of its prompts are those of deletion in runs; where that came
  to, `perplexity` and `random` deletions and samples of all sizes begin NSGA-II, population 20. `PromptQuine`: its
  generational loop with the published numbers, on accuracy.
- Both choose one prompt nearly as PromptQuine does: of the best tenth by accuracy on the search rows up to 12, short
  ones first, are measured on the dev rows, and the best of these goes to the test rows. `at most half`: so chosen from
  the same search, among prompts that keep no more than half of the tokens. (`reconsider` of a config measures a tenth
  again front after front, for the sake of the whole front.)
- `deletion in runs alone`: eighths of the prompt, then runs half as long in every pass, down to tokens, at TAPruning's
  threshold; it chooses as `emoprune` does.
- `TAPruning`: threshold 0.96 on accuracy, left to right, passes until nothing changes or the budget is spent; what it
  ends with goes to the test rows, as published. `chosen on dev`: of what it measured, chosen as `emoprune` chooses.
  `random at the same rate`: two random deletions that keep as many tokens as the choice of `emoprune`.
- SmolLM2-135M-Instruct in bfloat16, for all ways alike; accuracies on the test rows. Intervals of means are 95 %
  bootstrap intervals over the prompts; those of one accuracy are Wilson's over the test rows.
- The front: members of the front by the search rows, ranked again on dev rows, beside the best that the others reach
  with no more tokens: of TAPruning its end and what was chosen on dev, of PromptQuine points chosen as here.
"""


@dataclass(frozen=True)
class Sizes:
    """How much is searched and measured."""

    quick: bool
    budget: int
    search: int
    select: int
    test: int


@dataclass(frozen=True)
class Measuring:
    """The measurements of one prompt, way by way, each kept in a file if there is a folder for them."""

    name: str
    prompt: int
    sizes: Sizes
    folder: Path | None

    @cached_property
    def judge(self) -> Judge:
        """What measures prompts, loaded when something has to be measured."""
        source = PromptSet.of(self.name, quick=self.sizes.quick)
        return Judge(
            source.problem(
                source.prompts(1)[self.prompt],
                references=("perplexity", "random"),
                blocks=None,
                precision="bfloat16",
                search_examples=self.sizes.search,
                select_examples=self.sizes.select,
                test_examples=self.sizes.test,
            )
        )

    def found(self) -> dict[str, Any]:
        """Return accuracy and tokens of the whole prompt, and what every way made of it."""
        found: dict[str, Any] = {**self._kept("whole", self._whole), "ways": {}}
        for name in SEARCHES:
            own = self._kept(name, partial(self._searched, name))
            found["ways"] |= own["ways"]
            found |= {each: own[each] for each in own if each != "ways"}
        return found

    def _kept(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        sizes = "-".join(str(size) for size in astuple(self.sizes)[1:])
        path = (
            None
            if self.folder is None
            else self.folder / f"{self.name}-{self.prompt}-{sizes}-{name.replace(' ', '-')}.json"
        )
        if path is not None and path.exists():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        found = measure()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found), encoding="utf-8")
        return found

    def _whole(self) -> dict[str, Any]:
        accuracy, tokens = self.judge.rows(self.judge.problem.space.full[np.newaxis], Split.TEST)[0]
        return {"before": accuracy, "tokens": tokens}

    def _searched(self, name: str) -> dict[str, Any]:
        """Search in one way, choose, and measure what was chosen on the test rows."""
        judge, counted = self.judge, Counted(self.judge, self.sizes.budget)
        with suppress(Spent):
            SEARCHES[name](counted, self.prompt)
        chosen = _chosen(judge, counted)
        points = _points(judge, counted, chosen) if name in {OURS, *OTHERS} else []
        found: dict[str, Any] = {"ways": {name: _way(judge, counted, chosen) | {"points": points}}}
        if name == OURS:
            short = _best_of(judge, counted.best_share(0.1, MOST_AGAIN, part_kept=0.5))
            found["ways"][SHORT] = _way(judge, counted, short)
            found["random"] = _at_random(judge, chosen, self.prompt)
        if name == TAPRUNING:
            best = _best_of(judge, counted.best_share(0.1, MOST_AGAIN))
            found["ways"][CHOSEN] = _way(judge, counted, best)
        return found


def _at_random(judge: Judge, chosen: IntArray, seed: int) -> list[float]:
    """Return the test accuracies of random deletions that keep as many of the free tokens as the chosen prompt."""
    kept = int(chosen[judge.problem.space.free].sum())
    drawn = random_at(judge.problem, kept, RANDOM, seed)
    return [float(accuracy) for accuracy in judge.rows(drawn, Split.TEST)[:, 0]]


def _way(judge: Judge, counted: Counted, chosen: IntArray) -> dict[str, Any]:
    """Return what a search's choice is worth on the test rows, and what was measured for it."""
    accuracy, tokens = judge.rows(chosen[np.newaxis], Split.TEST)[0]
    return {"after": accuracy, "tokens": tokens, "spent": counted.spent}


def _chosen(judge: Judge, counted: Counted) -> IntArray:
    """Return what a search would hand over: where it ended, or the best tenth's best on the dev rows."""
    return _best_of(judge, counted.best_share(0.1, MOST_AGAIN)) if counted.ended is None else counted.ended


def _best_of(judge: Judge, best: IntArray) -> IntArray:
    """Return the best on the dev rows, of equal ones the shortest."""
    rows = judge.rows(best, Split.SELECT)
    chosen: IntArray = best[np.lexsort((rows[:, 1], -rows[:, 0]))[0]]
    return chosen


def _points(judge: Judge, counted: Counted, chosen: IntArray) -> list[list[float]]:
    """Return tokens and test accuracy of some of a search's front, chosen by dev rows, its own choice among them."""
    front = counted.front()
    spread = front[np.unique(np.linspace(0, len(front) - 1, POINTS).round().astype(int))]
    if counted.ended is not None:
        spread = chosen[np.newaxis]
    rows = judge.rows(spread, Split.SELECT)
    kept = spread[non_dominated(np.column_stack([-rows[:, 0], rows[:, 1]]))]
    measured = judge.rows(np.concatenate([kept, chosen[np.newaxis]]), Split.TEST)
    return [[float(tokens), float(accuracy)] for accuracy, tokens in np.unique(measured, axis=0).tolist()]


Found = Mapping[tuple[str, int], Mapping[str, Any]]


def prompt_table(found: Found, rows_tested: int) -> Table:
    """Return one row per prompt: accuracies before and after with their intervals over the test rows, and tokens."""
    rows = []
    for (name, prompt), own in found.items():
        ways = [
            f"{_over_rows(way['after'], rows_tested)}: {way['tokens']:.0f} tokens, {way['spent']} prompts"
            for way in own["ways"].values()
        ]
        before = f"{_over_rows(own['before'], rows_tested)}: {own['tokens']:.0f} tokens"
        rows.append((name, str(prompt), before, *ways, f"{100 * np.mean(own['random']):.1f}"))
    columns = ("set", "prompt", "before", *next(iter(found.values()))["ways"], "random at the same rate")
    return Table("Test accuracy in % of every prompt, whole and pruned, with 95 % intervals.", columns, rows)


def _over_rows(accuracy: float, rows: int) -> str:
    """Return an accuracy in % with Wilson's interval: what other test rows of the same kind would have said."""
    interval = binomtest(round(accuracy * rows), rows).proportion_ci(method="wilson")
    return f"{100 * accuracy:.1f} ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def mean_table(found: Found) -> Table:
    """Return means over all prompts with their intervals: after, gain, tokens kept, distance from TAPruning."""
    everything = list(found.values())
    before = np.array([own["before"] for own in everything])
    after = {name: np.array([own["ways"][name]["after"] for own in everything]) for name in everything[0]["ways"]}
    kept = {
        name: np.array([own["ways"][name]["tokens"] / own["tokens"] for own in everything])
        for name in everything[0]["ways"]
    }
    after["random at the same rate"] = np.array([np.mean(own["random"]) for own in everything])
    kept["random at the same rate"] = kept[OURS]
    rows = [("whole prompt", _mean(before), "-", "100 %", "-")]
    for name, own in after.items():
        against = _mean(own - after["TAPruning"]) if name != "TAPruning" else "-"
        rows.append((name, _mean(own), _mean(own - before), f"{100 * kept[name].mean():.0f} %", against))
    columns = ("way", "test accuracy, %", "gain, points", "tokens kept", "above TAPruning, points")
    return Table(f"Mean of {len(everything)} prompts, with 95 % intervals over the prompts.", columns, rows)


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    values = 100 * values
    if len(values) < 3 or np.ptp(values) == 0:
        return f"{values.mean():.1f}"
    interval = bootstrap((values,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{values.mean():.1f} ({interval.low:.1f} to {interval.high:.1f})"


def front_table(found: Found) -> Table:
    """Return emoprune's points, each beside the best that the others reach with no more tokens."""
    rows = []
    for (name, prompt), own in found.items():
        points = {way: own["ways"][way]["points"] for way in OTHERS}
        chosen = own["ways"][CHOSEN]
        points[TAPRUNING] = [*points[TAPRUNING], [chosen["tokens"], chosen["after"]]]
        for tokens, accuracy in own["ways"][OURS]["points"]:
            others = [_best(points[way], tokens) for way in OTHERS]
            rows.append((name, str(prompt), f"{tokens:.0f} of {own['tokens']:.0f}", f"{100 * accuracy:.1f}", *others))
    columns = ("set", "prompt", "tokens", OURS, *(f"{way}, no more tokens" for way in OTHERS))
    return Table(f"Test accuracy in % along the front of {OURS}.", columns, rows)


def _best(points: Sequence[Sequence[float]], tokens: float) -> str:
    reached = [accuracy for length, accuracy in points if length <= tokens]
    return f"{100 * max(reached):.1f}" if reached else "-"


def options() -> ArgumentParser:
    """Return the parser."""
    parser = arguments(__doc__ or "", rounds=1)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS), help="which data sets")
    parser.add_argument("--prompts", type=int, default=3, metavar="N", help="how many 1-shot prompts of each (3)")
    parser.add_argument("--budget", type=int, default=200, metavar="N", help="prompts that a search may measure (200)")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="of one core, for each search (60)")
    parser.add_argument("--tables", nargs="+", default=["evaluations", "seconds"], choices=["evaluations", "seconds"],
                        help="at equal evaluations, at equal seconds of one core, or both")  # fmt: skip
    parser.add_argument("--ideas", action="store_true", help="in seconds, also what was tried on the search")
    parser.add_argument("--again", type=int, default=MOST_AGAIN, metavar="N", help="prompts measured on dev rows (12)")
    parser.add_argument("--select", type=int, default=100, metavar="N", help="dev rows (100)")
    parser.add_argument("--test", type=int, default=500, metavar="N", help="test rows (500)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to keep what is measured, way by way")
    return parser


def main() -> None:
    """Search, compare, print and record."""
    chosen = options().parse_args()
    sizes = Sizes(chosen.quick, chosen.budget, 32, chosen.select, chosen.test)
    sets, prompts = chosen.sets, chosen.prompts
    if chosen.quick:
        sizes = Sizes(quick=True, budget=9, search=4, select=4, test=4)
        sets, prompts = ["sst-2"], 1
    tables, notes = list[Table](), ""
    if "evaluations" in chosen.tables:
        found = {}
        for name, prompt in product(sets, range(prompts)):
            progress(f"{name}, prompt {prompt}")
            found[name, prompt] = Measuring(name, prompt, sizes, chosen.keep).found()
        tables += [mean_table(found), prompt_table(found, sizes.test), front_table(found)]
        notes += NOTES
    if "seconds" in chosen.tables:
        tables.append(_in_seconds(sets, prompts, sizes, chosen))
        notes += SECONDS_NOTES
    packages = ("emoprune", "torch", "transformers", "numpy")
    publish(Report("Quality of pruned prompts at equal budget", tables, notes, packages), chosen)


def _in_seconds(sets: Sequence[str], prompts: int, sizes: Sizes, chosen: Namespace) -> Table:
    torch.set_num_threads(1)
    seconds, again = (0.5, 2) if sizes.quick else (chosen.seconds, chosen.again)
    parts = {"search": 16 if sizes.quick else sizes.search, "select": sizes.select, "test": sizes.test}
    found = {}
    for name, prompt in product(sets, range(prompts)):
        progress(f"{name}, prompt {prompt}, in seconds")
        own = Timing(name, prompt, seconds, again, parts, quick=sizes.quick, folder=chosen.keep)
        ways = [way for way in SEARCHES_IN_SECONDS if chosen.ideas or sizes.quick or way not in IDEAS]
        found[name, prompt] = own.found(ways)
    return seconds_table(found, seconds)


if __name__ == "__main__":
    main()
