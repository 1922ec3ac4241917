"""What is made once per run and kept in its folder: the learner's options, new features, references, the baseline."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emoprune.contracts import Reference, ReferenceMethod
from emoprune.errors import ConfigError
from emoprune.problems.storage.found_references import found_unmeasured
from emoprune.problems.storage.kept import kept_json, write_json
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Formula, Term, from_plain, plain_of
from emoprune.problems.tables.learners.by_name import LearnerPlan
from emoprune.problems.tables.scores.racing import Baseline, plain_baseline, read_baseline
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, SubsetReference
from emoprune.problems.tables.task import Loaded, TableTask

__all__ = ["UNPRUNED", "NewFeatures", "kept_baseline", "kept_features", "kept_plan", "kept_references"]

# A name, what is kept, and whether it was chosen by its loss on rows that score the search.
Subset = tuple[str, tuple[Term, ...], bool]

UNPRUNED = "unpruned"  # what a run calls the reference of all columns

_log = logging.getLogger("emoprune")


@dataclass(frozen=True, slots=True)
class NewFeatures:
    """New features that a search may choose: by a bit each, or through slots that can hold any of the others.

    `openfe` is the plain answer, as much of it as one genome can keep, the most important first. `by_fold` says which
    ones the training rows of each fold find by themselves; none where features were not searched for. `considered`
    counts the formulas that were looked at, and `possible` those there are.
    """

    survivors: tuple[Formula, ...] = ()
    others: tuple[Formula, ...] = ()
    openfe: tuple[Formula, ...] = ()
    by_fold: tuple[tuple[Formula, ...], ...] = ()
    considered: int = 0
    possible: int = 0


def kept_features(path: Path, make: Callable[[], NewFeatures]) -> NewFeatures:
    """Return the new features that lie in a file, or make them and write them there."""
    plain = kept_json(path, lambda: _plain_features(make()), refuse_torn=True, end="")
    survivors, others, openfe = (
        tuple(_formula(each, path) for each in plain[part]) for part in ("survivors", "others", "openfe")
    )
    genes = (*survivors, *others)
    by_fold = tuple(tuple(genes[place] for place in places) for places in plain.get("by_fold", ()))
    return NewFeatures(survivors, others, openfe, by_fold, int(plain["considered"]), int(plain["possible"]))


def _plain_features(found: NewFeatures) -> dict[str, Any]:
    parts = {"survivors": found.survivors, "others": found.others, "openfe": found.openfe}
    lists = {part: [plain_of(each) for each in formulas] for part, formulas in parts.items()}
    places = {formula: place for place, formula in enumerate((*found.survivors, *found.others))}
    by_fold = [sorted(places[formula] for formula in own if formula in places) for own in found.by_fold]
    return {**lists, "by_fold": by_fold, "considered": found.considered, "possible": found.possible}


def _formula(plain: Any, path: Path) -> Formula:
    found = from_plain(plain)
    if not isinstance(found, Formula):
        raise ConfigError(f"{path.name} holds a column where a formula is expected; remove it and it is made again")
    return found


def kept_references(
    path: Path, methods: Mapping[str, ReferenceMethod[ReferenceInputs]], inputs: Callable[[], ReferenceInputs]
) -> list[Subset]:
    """Return all columns, called `unpruned`, and what the methods pick; found in a file, or made and written there."""

    def made() -> list[dict[str, Any]]:
        found = _found(methods, inputs())
        return [{"name": name, "terms": [plain_of(term) for term in terms], "led": led} for name, terms, led in found]

    plain = kept_json(path, made, refuse_torn=True, end="")
    return [_read(each) for each in plain]


def _read(plain: Mapping[str, Any]) -> Subset:
    name = str(plain["name"])
    # Runs of earlier versions do not say it; most methods choose by the loss.
    return name, tuple(from_plain(term) for term in plain["terms"]), bool(plain.get("led", name != UNPRUNED))


def _found(methods: Mapping[str, ReferenceMethod[ReferenceInputs]], inputs: ReferenceInputs) -> list[Subset]:
    """Let each method pick, with randomness of its own.

    Raises:
        ContractError: A method wants genomes measured, or picks one that is not legal.
    """
    picked: list[Subset] = [(UNPRUNED, inputs.columns, False)]
    for name, method in methods.items():
        own = inputs.called(name)
        found = found_unmeasured(name, method, own, "measure with `inputs.loss`")
        picked += [(each.name, _terms(each, inputs), bool(own.asked)) for each in found]
        if not found:
            _log.info("references: %s found nothing on this table", name)
    return picked


def _terms(reference: Reference, inputs: ReferenceInputs) -> tuple[Term, ...]:
    return reference.terms if isinstance(reference, SubsetReference) else inputs.genes.decoded(reference.genome)


def kept_plan(path: Path, task: TableTask) -> LearnerPlan:
    """Return the learner with the options that lie in a file, or choose them and write them there."""
    if not task.plan.open:
        return task.plan
    made = kept_json(path, lambda: dict(task.plan.closed(Computed(task.table), task.parts.folds).options), end="")
    return LearnerPlan(task.plan.name, made)


def kept_baseline(path: Path, task: TableTask, load: Callable[[], Loaded], seed: int) -> Baseline:
    """Return what all columns cost and lose, from a file, or measure it and write it there."""
    if not path.exists():
        write_json(path, plain_baseline(task.baseline(load(), seed)), end="")
    return read_baseline(path)
