"""What searches over a prompt's tokens come to in equal seconds of one core, way by way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from engines.in_seconds import OURS, PUBLISHED, SEARCHES
from scipy.stats import bootstrap

from emoprune.records import Split
from emoprune.space import IntArray
from shared.prompt_data import PromptSet
from shared.prompt_seconds import MEASURED, InSeconds, RowJudge
from shared.prompted import Judge, published, random_at
from shared.recording import Table

__all__ = ["SECONDS_NOTES", "Timing", "seconds_table"]

CALIBRATED = 2  # prompts that are measured in both ways of scoring, to see how much longer the published one takes
PEERS = ("TAPruning", "PromptQuine")
SECONDS_NOTES = """\
- Equal seconds: every way is charged, for each prompt, the CPU seconds of one core that its measurements on the search
  rows took, what it does before NSGA-II among them. A value that two ways ask for is measured once and charged to both.
  What a search computes besides is not charged, and choosing on dev rows is outside for all ways alike.
- `published scoring`: charged as many times what reading all rows at once takes here as the published evaluator's
  padded batch over all of the vocabulary takes, measured on two prompts each; its predictions are alike. `TAPruning`
  without it leaves a prompt after 8 or 16 of 32 rows if that cannot reach the threshold any more.
- `emoprune`: deletion in runs with up to half of the seconds, then NSGA-II (12) with grades, as a search has: after 8
  and after 16 rows who is shown to be dominated is given up. Each idea changes one thing of it. `all rows`: for
  everybody. `cross-entropy at low grades`: in place of accuracy, it says who goes on. `8 rows alone`: of these, the
  best are measured on all rows with the last 15 % of the seconds. `runs deleted`: a run of up to 8 neighbours is turned
  off in half of the children. `spans crossed`: two-point crossover. `a model deletes`: in half of the children, tokens
  that a ridge regression of the cross-entropy on the bits of all that was measured finds least important.
- All choose as in the first table; `TAPruning` ends where it ends, as published.
"""


@dataclass(frozen=True)
class Timing:
    """The measurements of one prompt, way by way, each kept in a file if there is a folder for them."""

    name: str
    prompt: int
    seconds: float
    again: int  # prompts of each way that are measured on dev rows
    parts: Mapping[str, int]
    quick: bool
    folder: Path | None

    @cached_property
    def _judge(self) -> Judge:
        source = PromptSet.of(self.name, quick=self.quick)
        sizes = {f"{part}_examples": count for part, count in self.parts.items()}
        text = source.prompts(1)[self.prompt]
        return Judge(
            source.problem(
                text,
                objectives=MEASURED,
                references=("perplexity", "random"),
                precision="bfloat16",
                blocks=self.parts["search"],
                **sizes,
            )
        )

    @cached_property
    def _rows(self) -> RowJudge:
        return RowJudge(self._judge.problem)

    def found(self, ways: Sequence[str]) -> dict[str, Any]:
        """Return accuracy and tokens of the whole prompt, and what every way made of it."""
        whole = self._kept("whole", lambda: self._tested(self._judge.problem.space.full))
        factor = self._kept("factor", lambda: {"factor": self._factor()})["factor"]
        return {
            **whole,
            "factor": factor,
            "ways": {name: self._kept(name, partial(self._searched, name, factor)) for name in ways},
        }

    def _kept(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        words = (self.name, self.prompt, f"{self.seconds:g}s", *self.parts.values(), name.replace(" ", "-"))
        path = None if self.folder is None else self.folder / f"{'-'.join(map(str, words))}.json"
        if path is not None and path.exists():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return kept
        found = measure()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found), encoding="utf-8")
        return found

    def _factor(self) -> float:
        """Return how many times as long the published way of scoring takes as reading all rows at once does here."""
        problem = self._judge.problem
        free = int(problem.space.free.sum())
        theirs, ours = 0.0, 0.0
        for genome in random_at(problem, round(0.7 * free), CALIBRATED, 5):
            begun = time.process_time()
            published(problem, genome)
            theirs += time.process_time() - begun
            ours += self._rows.whole(genome)[1]
        return theirs / ours

    def _searched(self, name: str, factor: float) -> dict[str, Any]:
        account = InSeconds(self._rows, self.seconds, factor if name.endswith(PUBLISHED) else 1.0)
        SEARCHES[name](account, self.prompt)
        ended = [] if account.ended is None else [account.ended]
        chosen = ended[0] if ended else self._chosen(account)
        found: dict[str, Any] = {**self._tested(chosen), "asked": len(account.rows), "spent": account.spent}
        if ended:
            found["chosen on dev"] = self._tested(self._chosen(account))
        return found

    def _chosen(self, account: InSeconds) -> IntArray:
        best = account.best(0.1, self.again)
        rows = self._judge.rows(best, Split.SELECT)
        chosen: IntArray = best[np.lexsort((rows[:, -1], -rows[:, 0]))[0]]
        return chosen

    def _tested(self, genome: IntArray) -> dict[str, float]:
        accuracy, *_, tokens = self._judge.rows(genome[np.newaxis], Split.TEST)[0].tolist()
        return {"accuracy": accuracy, "tokens": tokens}


def seconds_table(found: Mapping[tuple[str, int], Mapping[str, Any]], seconds: float) -> Table:
    """Return one row per way: test accuracy, tokens, what was asked, and how far ours lies above it."""
    everything = list(found.values())
    ways: dict[str, list[Mapping[str, Any]]] = {}
    for name in everything[0]["ways"]:
        ways[name] = [own["ways"][name] for own in everything]
        if name.startswith(PEERS[0]):
            ways[f"{name}, chosen on dev"] = [{**own, **own["chosen on dev"]} for own in ways[name]]
    whole = np.array([own["tokens"] for own in everything])
    ours = np.array([own["accuracy"] for own in ways[OURS]])
    rows = [("whole prompt", _mean([own["accuracy"] for own in everything]), "100 %", "-", "-")]
    for name, own in ways.items():
        after = np.array([each["accuracy"] for each in own])
        kept = np.mean(np.array([each["tokens"] for each in own]) / whole)
        asked = ", ".join(str(each["asked"]) for each in own)
        rows.append((name, _mean(after), f"{100 * kept:.0f} %", asked, "-" if name == OURS else _mean(ours - after)))
    prompts = ", ".join(f"{name} {prompt}" for name, prompt in found)
    factors = ", ".join(f"{own['factor']:.1f}" for own in everything)
    title = (
        f"After {seconds:g} s of one core for each of {len(everything)} prompts ({prompts}); the published scoring "
        f"takes {factors} times as long."
    )
    return Table(title, ("way", "test accuracy, %", "tokens kept", "prompts asked", f"{OURS} above it, points"), rows)


def _mean(values: Sequence[float] | np.ndarray[Any, np.dtype[np.float64]]) -> str:
    own = 100 * np.asarray(values)
    if len(own) < 3 or np.ptp(own) == 0:
        return f"{own.mean():.1f}" + (f" ({', '.join(f'{each:.1f}' for each in own)})" if len(own) > 1 else "")
    interval = bootstrap((own,), np.mean, rng=np.random.default_rng(1)).confidence_interval
    return f"{own.mean():.1f} ({interval.low:.1f} to {interval.high:.1f})"
