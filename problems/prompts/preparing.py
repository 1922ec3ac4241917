"""What is done once per run: the model's precision, the references, and the yardsticks that searching stops by."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emoprune.contracts import Failure, violations
from emoprune.problems.prompts.examiner import Examiner
from emoprune.problems.prompts.kept_numbers import KeptNumbers
from emoprune.problems.prompts.measures import TOKENS
from emoprune.problems.prompts.stopping import GiveUp, Halving, Yardsticks, best_mean
from emoprune.problems.prompts.task import PromptTask
from emoprune.problems.prompts.template import Template
from emoprune.problems.prompts.writing_files import write_json
from emoprune.records import Split

__all__ = ["Stops", "made_stops", "quality_of", "worth_of"]

FloatArray = NDArray[np.float64]


def quality_of(task: PromptTask) -> str:
    """Return the first objective that says how good answers are; accuracy if none does."""
    return next((name for name in task.measures.objective_names if name != TOKENS), "accuracy")


def _as_worth(name: str) -> Callable[[float], float]:
    """Return what turns a measure's mean into a number above zero that is larger for a better prompt.

    A share of the best so far means nothing for numbers that can be negative, as the reward, or that fall.
    """
    if name == "reward":
        return lambda value: (value + 180) / 380
    if name in {"cross-entropy", "entropy"}:
        return lambda value: float(np.exp(-value))
    return lambda value: value


def worth_of(
    task: PromptTask, examiner: Examiner, template: Callable[[Any], Template], path: Path
) -> Callable[..., float | None]:
    """Return what says what a genome is worth on the search part, or None as soon as that is less than is needed.

    What was measured is kept at `path`, so that whoever is interrupted goes on from there.
    """
    name, kept = quality_of(task), KeptNumbers(path)
    as_worth = _as_worth(name)

    def measured(prompt: Template, needed: float) -> float | None:
        def too_little(known: Mapping[str, FloatArray], rows: int) -> bool:
            return as_worth(best_mean(name, known[name], rows)) < needed

        examined = examiner.examined(prompt, Split.SEARCH, too_little)
        if isinstance(examined, Failure) or examined.rows < examined.of:
            return None
        return as_worth(examined.values[name])

    def worth(genome: Any, needed: float) -> float | None:
        prompt = template(genome)
        return kept.number(f"{needed!r}: {prompt.text}", lambda: measured(prompt, needed))

    return worth


@dataclass(frozen=True, slots=True, eq=False)
class Stops:
    """What a prompt is given up by during the search, and how many prompts were measured to know it."""

    yardsticks: Yardsticks | None
    halving: Halving | None
    evaluations: int

    def against(self, text: str, tokens: float) -> GiveUp | None:
        """Return when a prompt of so many tokens is given up; None for never."""
        hopeless = None if self.yardsticks is None else self.yardsticks.against(text, tokens)
        rules = [rule for rule in (hopeless, self.halving) if rule is not None]
        return (lambda known, rows: any(rule(known, rows) for rule in rules)) if rules else None


def made_stops(
    task: PromptTask,
    examiner: Examiner,
    templates: Sequence[Template],
    *,
    path: Path,
    dominated: bool,
    halving: float | None,
) -> Stops:
    """Measure the references in full, or read what was measured before.

    Args:
        task: What is measured.
        examiner: What measures.
        templates: The references' prompts, the unpruned first.
        path: Where it is kept.
        dominated: Whether prompts are given up that a reference dominates whatever comes.
        halving: Which share of the unpruned prompt's accuracy on the first half a prompt needs; None for no halving.
    """
    if not path.exists():
        values, texts, floor = [], [], None
        for template in templates if dominated else templates[:1] if halving is not None else []:
            examined = examiner.examined(template, Split.SEARCH)
            if isinstance(examined, Failure):
                continue
            row = task.measures.row(task.values(examined, template))
            objectives, bounded = row[: len(task.objectives)], row[len(task.objectives) :]
            if (violations(np.array([bounded]), task.constraints) == 0).all():
                values.append(objectives)  # what breaks a bound dominates nothing
            texts.append(template.text)
            if halving is not None and template is templates[0]:
                floor = halving * float(examined.measured["accuracy"][: examined.of // 2].mean())
        made = {"values": values, "texts": texts, "floor": floor, "evaluations": len(texts)}
        write_json(path, made)
    plain = json.loads(path.read_text(encoding="utf-8"))
    rows = np.array(plain["values"], dtype=np.float64).reshape(-1, len(task.objectives))
    yardsticks = Yardsticks(task.objectives, rows, frozenset(plain["texts"])) if dominated else None
    half = None if plain["floor"] is None else Halving("accuracy", float(plain["floor"]))
    return Stops(yardsticks, half, int(plain["evaluations"]))
