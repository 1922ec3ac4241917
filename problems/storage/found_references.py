"""The references of several methods: each draws for itself, each genome once, and what they say is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from emoprune.contracts import FloatArray, Found, MeasuredErrors, Reference, ReferenceMethod, Starts, SurveyingMethod
from emoprune.space import IntArray, Space

__all__ = ["Methods", "each_once", "found_by", "measured_by", "measuring", "picked_by"]

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
        name: _said(method.found(replace(inputs, rng=np.random.default_rng([seed, *name.encode()]))))
        for name, method in methods.items()
    }


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
            references += _said(method.picked(inputs, own, measured)).references
    return references


def each_once(references: Iterable[Reference], space: Space) -> tuple[Reference, ...]:
    """Return the references with every genome once, under the first name it got."""
    first: dict[bytes, Reference] = {}
    for reference in references:
        first.setdefault(space.key(reference.genome), reference)
    return tuple(first.values())


def _said(found: Found) -> Found:
    for note in found.notes:
        _log.info("references: %s", note)
    return found
