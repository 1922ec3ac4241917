"""When runs of earlier versions gave a prompt up: by what was measured before the search and never changes in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Failure, Objective, as_minimised, violations
from emoprune.errors import ConfigError
from emoprune.problems.prompts.measures import ACCURACY
from emoprune.problems.prompts.objectives.contract import PerExample
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import GiveUp, best_mean
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept import write_json
from emoprune.problems.storage.kept_numbers import KeptNumbers
from emoprune.records import Split

__all__ = ["Baselines", "Halving", "Stops", "made_stops"]

FloatArray = NDArray[np.float64]

HALF = "accuracy on the first half"

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True, eq=False)
class Baselines:
    """Prompts that were measured once in full, before the search: `values` in natural signs, shape (n, objectives).

    A prompt is given up as soon as a baseline is at least as good in every objective, and better in one, whatever
    comes of the examples that are left. The baselines' own `texts` are always measured in full. `measures` are those
    that are known per example.
    """

    objectives: Sequence[Objective]
    values: FloatArray
    texts: frozenset[str]
    measures: Mapping[str, PerExample]

    def against(self, text: str, of_prompt: Mapping[str, float]) -> GiveUp | None:
        """Return when to give up a prompt, from what is measured of it alone; None for never."""
        if text in self.texts or len(self.values) == 0:
            return None
        baselines = as_minimised(self.values, self.objectives)

        def reachable_in(objective: Objective, known: Mapping[str, FloatArray], rows: int) -> float:
            if objective.name in known:
                return best_mean(self.measures[objective.name], known[objective.name], rows)
            return of_prompt.get(objective.name, np.inf if objective.direction is Direction.MAXIMISE else -np.inf)

        def hopeless(known: Mapping[str, FloatArray], rows: int) -> bool:
            best = np.array([reachable_in(each, known, rows) for each in self.objectives])
            reachable = as_minimised(best, self.objectives)
            return bool(((baselines <= reachable).all(axis=1) & (baselines < reachable).any(axis=1)).any())

        return hopeless


@dataclass(frozen=True, slots=True)
class Halving:
    """Give a prompt up after half of the examples if its mean is below `floor` there.

    PromptQuine (arXiv 2506.17930) compares with the population's worst; a floor that was fixed beforehand keeps what is
    measured of a prompt a matter of the prompt alone.
    """

    measure: str
    floor: float

    def __call__(self, known: Mapping[str, FloatArray], rows: int) -> bool:
        """Whether to stop here."""
        seen = known[self.measure]
        return len(seen) >= rows // 2 and float(seen[: max(1, rows // 2)].mean()) < self.floor


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """What a prompt is given up by during the search, and how many prompts were measured to know it."""

    baselines: Baselines | None
    halving: Halving | None
    evaluations: int

    def against(self, text: str, of_prompt: Mapping[str, float]) -> GiveUp | None:
        """Return when a prompt is given up, from what is measured of it alone; None for never."""
        hopeless = None if self.baselines is None else self.baselines.against(text, of_prompt)
        rules = [rule for rule in (hopeless, self.halving) if rule is not None]
        return (lambda known, rows: any(rule(known, rows) for rule in rules)) if rules else None


def made_stops(
    task: PromptTask,
    scoring: Scoring,
    templates: Sequence[Template],
    *,
    path: Path,
    dominated: bool,
    halving: float | None,
) -> Stops:
    """Measure the references in full, or read what was measured before; lines beside `path` keep each one.

    Args:
        task: What is measured.
        scoring: What measures.
        templates: The references' prompts, the unpruned first.
        path: Where it is kept.
        dominated: Whether prompts are given up that a reference dominates whatever comes.
        halving: Which share of the unpruned prompt's accuracy on the first half a prompt needs; None for no halving.

    Raises:
        ConfigError: There is to be halving, and the unpruned prompt cannot be measured.
        EndpointFailed: The model did not answer; what is measured by then is kept.
    """
    if not path.exists():
        kept = KeptNumbers(path.with_suffix(".jsonl"))
        values, texts, floor = [], [], None
        for template in templates if dominated else templates[:1] if halving is not None else []:
            measured = _measured(task, scoring, template, kept)
            if halving is not None and template is templates[0]:
                floor = halving * _half_of_the_whole(measured)
            if measured is None:
                continue
            row = task.measures.row(measured)
            objectives, bounded = row[: len(task.objectives)], row[len(task.objectives) :]
            if (violations(np.array([bounded]), task.constraints) == 0).all():
                values.append(objectives)  # what breaks a bound dominates nothing
            texts.append(template.text)
        made = {"values": values, "texts": texts, "floor": floor, "evaluations": len(texts)}
        write_json(path, made, ensure_ascii=False)
    plain = json.loads(path.read_text(encoding="utf-8"))
    rows = np.array(plain["values"], dtype=np.float64).reshape(-1, len(task.objectives))
    baselines = None
    if dominated:
        baselines = Baselines(task.objectives, rows, frozenset(plain["texts"]), task.measures.per_example)
    half = None if plain["floor"] is None else Halving(ACCURACY, float(plain["floor"]))
    return Stops(baselines, half, int(plain["evaluations"]))


def _measured(task: PromptTask, scoring: Scoring, template: Template, kept: KeptNumbers) -> dict[str, float] | None:
    """Return all measures of a prompt and its accuracy on the first half, each kept; None if it cannot be measured."""

    @cache
    def values() -> Mapping[str, float]:
        scored = scoring.scored(template, Split.SEARCH)
        if isinstance(scored, Failure):
            _log.warning("no prompt is given up for the sake of %r: %s", template.text, scored.reason)
            return {}
        half = scored.measured[ACCURACY][: scored.of // 2]
        return {**scored.values, HALF: float(half.mean())}

    def number(name: str) -> float | None:
        return kept.number(f"{name}: {template.text}", lambda: values().get(name))

    numbers = {name: number(name) for name in (*task.measures.names, HALF)}
    found = {name: each for name, each in numbers.items() if each is not None}
    return found if len(found) == len(numbers) else None


def _half_of_the_whole(measured: Mapping[str, float] | None) -> float:
    if measured is None:
        raise ConfigError(
            "halving: expected the whole prompt's accuracy, which others are compared with, but it cannot be measured; "
            "shorten the prompt so that the model can answer it, or leave halving out"
        )
    return measured[HALF]
