"""Whether a problem keeps its promise, and is the one that a run was begun with."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from emoprune.contracts import (
    Fingerprinted,
    Marked,
    Passage,
    Picture,
    Pictured,
    Problem,
    Reference,
    blocks_of,
    constraints_of,
)
from emoprune.errors import ConfigError, ContractError, EmopruneError
from emoprune.run import Run
from emoprune.space import IntArray

__all__ = [
    "check_members",
    "check_problem",
    "check_references",
    "check_unchanged",
    "described",
    "drawn",
    "facts_of",
    "marked",
]


def check_problem(problem: Problem) -> None:
    """Check, before anything is evaluated, what a problem must have.

    Raises:
        ContractError: A member is missing, names collide, or a reference is illegal.
    """
    check_members(problem)
    if not problem.objectives:
        raise ContractError(f"{type(problem).__name__} has no objectives; a search needs at least one")
    constraints = constraints_of(problem, blocks_of(problem))
    names = [part.name for part in problem.objectives] + [part.name for part in constraints]
    if len(set(names)) != len(names):
        raise ContractError(f"{type(problem).__name__}: objectives and constraints share a name: {names}")
    references = problem.references()
    if not references:
        raise ContractError(f"{type(problem).__name__} has no references; the unpruned genome must be the first")
    check_references(problem, references)


def check_references(problem: Problem, references: Sequence[Reference]) -> None:
    """Check that references can be told apart, are legal, and can be described.

    Raises:
        ContractError: One of them is not so.
    """
    if len({reference.name for reference in references}) != len(references):
        raise ContractError(f"{type(problem).__name__}: two references share a name")
    problem.space.check(np.stack([reference.genome for reference in references]), "references")
    for reference in references:
        described(problem, reference.genome, f"reference {reference.name!r}")
        marked(problem, reference.genome, f"reference {reference.name!r}")


def check_members(problem: Problem) -> None:
    """Check that all members are there, without asking any of them for anything.

    Raises:
        ContractError: Some are missing.
    """
    members = ("space", "objectives", "setup", "evaluate", "references", "describe", "export")
    absent = object()
    # Statically, because a problem may know its space only once it is prepared; else as proxies answer.
    missing = [
        member
        for member in members
        if inspect.getattr_static(problem, member, absent) is absent and not hasattr(problem, member)
    ]
    if missing:
        raise ContractError(
            f"{type(problem).__name__} is no problem: it lacks {', '.join(missing)}; see emoprune.contracts.Problem"
        )


def described(problem: Problem, genome: IntArray, whose: str) -> dict[str, str | int | float]:
    """Return the problem's words for a genome, checked: labels with texts and finite numbers.

    Raises:
        ContractError: `describe` raised, or returned something else; `whose` names the genome.
    """
    try:
        words = dict(problem.describe(genome))
        json.dumps(words, allow_nan=False)
    except EmopruneError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        raise ContractError(
            f"{type(problem).__name__}.describe of {whose}: expected labels with texts and finite numbers, "
            f"found {type(error).__name__}: {error}"
        ) from error
    return words


def marked(problem: Problem, genome: IntArray, whose: str) -> tuple[Passage, ...]:
    """Return the problem's marked text of a genome, checked; nothing if the problem has none.

    Raises:
        ContractError: `marked` raised, or returned something else; `whose` names the genome.
    """
    if not isinstance(problem, Marked):
        return ()
    try:
        passages = tuple(problem.marked(genome))
    except EmopruneError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        raise ContractError(
            f"{type(problem).__name__}.marked of {whose}: expected passages, found {type(error).__name__}: {error}"
        ) from error
    wrong = next((type(each).__name__ for each in passages if not isinstance(each, Passage)), None)
    if wrong is not None:
        raise ContractError(f"{type(problem).__name__}.marked of {whose}: expected passages, found {wrong}")
    return passages


def drawn(problem: Problem, genome: IntArray, whose: str) -> Picture | None:
    """Return the problem's picture of a genome, checked; None if the problem draws none.

    Raises:
        ContractError: `picture` raised, or returned something else; `whose` names the genome.
    """
    if not isinstance(problem, Pictured):
        return None
    try:
        picture: object = problem.picture(genome)
    except EmopruneError:
        raise
    except (Exception, SystemExit) as error:  # a plug-in may raise anything
        raise ContractError(
            f"{type(problem).__name__}.picture of {whose}: expected a Picture, found {type(error).__name__}: {error}"
        ) from error
    if not isinstance(picture, Picture):
        raise ContractError(
            f"{type(problem).__name__}.picture of {whose}: expected a Picture, found {type(picture).__name__}"
        )
    return picture


def facts_of(problem: Problem, run: Run) -> dict[str, Any]:
    """Return what makes a problem the one a run was begun with, as plain data.

    A run that was begun when its problem was measured in full goes on so, though it could be measured block by block.
    """
    begun = run.manifest
    blocks = None if "genes" in begun and "blocks" not in begun else blocks_of(problem)
    return {
        "objectives": [asdict(objective) for objective in problem.objectives],
        "constraints": [asdict(constraint) for constraint in constraints_of(problem, blocks)],
        "genes": [asdict(gene) for gene in problem.space.genes],
        "fingerprint": problem.fingerprint() if isinstance(problem, Fingerprinted) else None,
        **({} if blocks is None else {"blocks": blocks.as_json()}),
    }


def check_unchanged(problem: Problem, run: Run) -> None:
    """Refuse to go on with a run whose problem is not the one that it was begun with.

    Raises:
        ConfigError: Objectives, constraints, genes or fingerprint differ from the manifest's.
    """
    manifest, now = run.manifest, facts_of(problem, run)
    different = [member for member in now if member in manifest and manifest[member] != now[member]]
    if different:
        raise ConfigError(
            f"run {run.name} cannot go on: the problem's {', '.join(different)} changed since it was begun "
            "(other code, model or data?); begin a new run"
        )
