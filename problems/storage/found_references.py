"""The references of several methods: each draws for itself, each genome once, and what they say is logged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, zip_longest
from typing import Any

import numpy as np

from emoprune.contracts import FloatArray, Found, MeasuredErrors, Reference, ReferenceMethod, Starts, SurveyingMethod
from emoprune.errors import ContractError
from emoprune.space import IntArray, Space

__all__ = [
    "Methods",
    "each_once",
    "found_by",
    "found_unmeasured",
    "found_unmeasured_by",
    "in_turns",
    "measured_by",
    "measuring",
    "picked_by",
]

_log = logging.getLogger("emoprune")

Methods = Mapping[str, ReferenceMethod[Any]]


def found_by(methods: Methods, inputs: Any) -> dict[str, Found]:
    """Return what each method finds without measuring, by its name.

    Each draws from a generator of its own, seeded from one number of `inputs.rng` and its name, so that leaving one out
    does not change the others. What they could not do is logged to `emoprune`.

    Args:
        methods: By name.
        inputs: A record with a generator in `rng`, documented by the problem.
    """
    seed = int(inputs.rng.integers(2**63))
    return {
        name: _said(name, method.found(replace(inputs, rng=np.random.default_rng([seed, *name.encode()]))))
        for name, method in methods.items()
    }


def found_unmeasured(name: str, method: ReferenceMethod[Any], inputs: Any, instead: str) -> tuple[Reference, ...]:
    """Return what a method finds for a problem that measures nothing for references in generation 0.

    Args:
        name: The method's.
        method: It is asked once, and what it says is logged.
        inputs: A record with a space in `space`, documented by the problem.
        instead: What its author is told to do instead of naming starts.

    Raises:
        ContractError: It wants genomes measured, or one of its references is not legal.
    """
    found = _said(name, method.found(inputs))
    if found.starts:
        raise ContractError(f"reference {name!r}: expected no starts, found some; {instead}")
    for reference in found.references:
        inputs.space.check([reference.genome], f"reference {name!r}: {reference.name}")
    return found.references


def found_unmeasured_by(methods: Methods, inputs: Any, instead: str) -> list[Reference]:
    """Return what the methods find, in order, each drawing for itself, for a problem that measures nothing before.

    Raises:
        ContractError: A method wants genomes measured, or picks one that is not legal.
    """
    seed, found = int(inputs.rng.integers(2**63)), list[Reference]()
    for name, method in methods.items():
        own = replace(inputs, rng=np.random.default_rng([seed, *name.encode()]))
        found += found_unmeasured(name, method, own, instead)
    return found


def in_turns(methods: Methods, found: Mapping[str, Sequence[Reference]], with_targets: type) -> Iterator[Reference]:
    """Return what the methods found, those with targets that follow each other taking turns, target by target.

    Args:
        methods: By name, in order.
        found: What each of them found, by name.
        with_targets: The class of those that take turns.
    """
    for taking_turns, names in groupby(methods, key=lambda name: isinstance(methods[name], with_targets)):
        lists = [found[name] for name in names]
        for turn in zip_longest(*lists) if taking_turns else lists:
            yield from (reference for reference in turn if reference is not None)


def measuring(methods: Methods) -> list[str]:
    """Return the names of the methods that pick from what was measured."""
    return [name for name, method in methods.items() if isinstance(method, SurveyingMethod)]


def measured_by(space: Space, genomes: IntArray, errors: FloatArray) -> MeasuredErrors:
    """Return what looks up the error of genomes among those measured, (n, genes) and (n,), NaN where none was."""
    known = dict(zip(space.keys(genomes), np.nan_to_num(errors, nan=np.inf).tolist(), strict=True))
    return lambda wanted: np.array([known.get(key, np.inf) for key in space.keys(wanted)])


def picked_by(methods: Methods, inputs: Any, starts: Mapping[str, Starts], measured: MeasuredErrors) -> list[Reference]:
    """Return what the methods pick from the errors of their `starts`, given by their names."""
    references: list[Reference] = []
    for name, own in starts.items():
        method = methods[name]
        if isinstance(method, SurveyingMethod):
            references += _said(name, method.picked(inputs, own, measured)).references
    return references


def each_once(
    references: Iterable[Reference], space: Space, canonical: Callable[[IntArray], IntArray] | None = None
) -> tuple[Reference, ...]:
    """Return the references with every genome once, under the first name it got.

    Args:
        references: In order.
        space: Says which genomes are the same.
        canonical: Returns the genomes that stand for others, both (n, genes); each for itself unless said.
    """
    first: dict[bytes, Reference] = {}
    for reference in references:
        genome = reference.genome if canonical is None else canonical(reference.genome[np.newaxis])[0]
        first.setdefault(space.key(genome), Reference(reference.name, genome))
    return tuple(first.values())


def _said(name: str, found: Found) -> Found:
    if not isinstance(found, Found):
        raise ContractError(f"reference {name!r}: expected a Found in return, found {type(found).__name__}")
    for note in found.notes:
        _log.info("references: %s", note)
    return found
