"""What is done once per run: the model's precision, the references, and the baselines that searching stops by."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Failure, violations
from emoprune.errors import ConfigError
from emoprune.problems.prompts.measures import ACCURACY
from emoprune.problems.prompts.objectives.contract import Measure, PerExample
from emoprune.problems.prompts.scorers.calling import EndpointFailed, EndpointRefused
from emoprune.problems.prompts.scorers.ledger import BudgetSpent
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import Baselines, GiveUp, Halving, best_mean
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept import write_json
from emoprune.problems.storage.kept_numbers import KeptNumbers
from emoprune.records import Split

__all__ = ["Stops", "going_on_later", "made_stops", "worth_of"]

FloatArray = NDArray[np.float64]

HALF = "accuracy on the first half"

_log = logging.getLogger("emoprune")


@contextmanager
def going_on_later(made: str, fewer: str) -> Iterator[None]:
    """Say of an endpoint that fails, or of a bound that is reached, within the block what was made, and how to go on.

    Args:
        made: What is made in the block.
        fewer: What to set so that a run makes less of it.

    Raises:
        EndpointRefused: It does not take a text, as it says itself; it will not when it is asked again either.
        EndpointFailed: It failed. No prompt is thought worse of for it.
        BudgetSpent: A call would pass a bound of the run.
    """
    try:
        yield
    except EndpointRefused:
        raise
    except EndpointFailed as error:
        raise EndpointFailed(
            f"{error}; it failed before the search, while {made} were made. What was measured until then is kept in "
            "the run's folder: resume the run when the endpoint answers again, and it goes on from there"
        ) from error
    except BudgetSpent as error:
        raise BudgetSpent(
            f"{error}. All of it went into what is done before the search; {made} are not finished, and nothing was "
            "searched. What was measured is kept in the run's folder: resume the run with a larger bound, as in "
            f"`emoprune resume RUN --set problem.at_most.calls=20000`, and it goes on from there; or begin one that "
            f"asks for less: {fewer}"
        ) from error


def _as_worth(measure: PerExample | Measure) -> Callable[[float], float]:
    """Return what turns a measure's value into a number above zero that is larger for a better prompt.

    A share of the best so far means nothing for numbers that can be negative, as the reward, or that fall.
    """
    best, worst = getattr(measure, "best", None), getattr(measure, "worst", None)
    if best is not None and worst is not None and np.isfinite(best - worst):
        return lambda value: (value - worst) / (best - worst)
    sign = 1.0 if measure.direction is Direction.MAXIMISE else -1.0
    return lambda value: float(np.exp(sign * value))


def worth_of(
    task: PromptTask, scoring: Scoring, template: Callable[[Any], Template], path: Path
) -> Callable[..., float | None]:
    """Return what says what a genome is worth on the search part, or None as soon as that is less than is needed.

    What was measured is kept at `path`, so that whoever is interrupted goes on from there. A failure of the endpoint is
    raised and not kept: it says nothing of the genome.
    """
    name, kept = task.measures.quality, KeptNumbers(path)
    as_worth, per_example = _as_worth(task.measures.of(name)), task.measures.per_example.get(name)

    def measured(prompt: Template, needed: float) -> float | None:
        def too_little(known: Mapping[str, FloatArray], rows: int) -> bool:
            return per_example is not None and as_worth(best_mean(per_example, known[name], rows)) < needed

        scored = scoring.scored(prompt, Split.SEARCH, too_little)
        if isinstance(scored, Failure) or scored.rows < scored.of:
            return None
        return as_worth(scored.values[name])

    def worth(genome: Any, needed: float) -> float | None:
        prompt = template(genome)
        return kept.number(f"{needed!r}: {prompt.text}", lambda: measured(prompt, needed))

    return worth


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
