"""What is done before a search and kept: what prompts are worth to a reference, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Direction, Failure
from emoprune.problems.prompts.objectives.contract import Measure, PerExample
from emoprune.problems.prompts.scorers.calling import EndpointFailed, EndpointRefused
from emoprune.problems.prompts.scorers.ledger import BudgetSpent
from emoprune.problems.prompts.scoring import Scoring
from emoprune.problems.prompts.stopping import best_mean
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.problems.storage.kept_numbers import KeptNumbers
from emoprune.records import Split

__all__ = ["going_on_later", "worth_of"]

FloatArray = NDArray[np.float64]


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
