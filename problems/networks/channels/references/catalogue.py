"""All methods by name, and the references that some of them make."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from emoprune.contracts import Reference
from emoprune.errors import ConfigError
from emoprune.plugins import made_with
from emoprune.problems.networks.channels.references.balanced import Balanced
from emoprune.problems.networks.channels.references.eagle_eye import EagleEye
from emoprune.problems.networks.channels.references.erk import Erk
from emoprune.problems.networks.channels.references.global_magnitude import GlobalMagnitude
from emoprune.problems.networks.channels.references.inputs import (
    Found,
    Measured,
    Measuring,
    Method,
    ReferenceInputs,
)
from emoprune.problems.networks.channels.references.pq_ratios import PqHalfAndOne, PqOneAndTwo
from emoprune.problems.networks.channels.references.pyramidal import Pyramidal
from emoprune.problems.networks.channels.references.random_ratios import RandomRatios
from emoprune.problems.networks.channels.references.sensitivity import Sensitivity
from emoprune.problems.networks.channels.references.uniform import Uniform
from emoprune.problems.storage.kept_references import Starts, check_names
from emoprune.space import Space

__all__ = ["BY_DEFAULT", "METHODS", "Methods", "first_references", "measuring", "methods_of", "surveyed"]

_log = logging.getLogger("emoprune")

Methods = Mapping[str, Method]

METHODS: Mapping[str, Callable[..., Method]] = MappingProxyType(
    {
        "uniform": Uniform,
        "global-magnitude": GlobalMagnitude,
        "erk": Erk,
        "balanced": Balanced,
        "pyramidal": Pyramidal,
        "pq-0_5-1": PqHalfAndOne,
        "pq-1-2": PqOneAndTwo,
        "random": RandomRatios,
        "sensitivity": Sensitivity,
        "eagle-eye": EagleEye,
    }
)
# Those that have to measure take more evaluations than a generation has; they come when they are named.
BY_DEFAULT = tuple(name for name in METHODS if name not in ("sensitivity", "eagle-eye"))


def methods_of(given: Sequence[str | Mapping[str, Any]]) -> dict[str, Method]:
    """Return the methods that a config names, each with its options.

    Args:
        given: Names, or mappings of a `name` and the method's options.

    Raises:
        ConfigError: A name is not known or comes twice, or an option is wrong.
    """
    asked = [_asked(own) for own in given]
    check_names([name for name, _ in asked], METHODS)
    return {name: made_with(METHODS[name], options, f"reference {name!r}") for name, options in asked}


def _asked(given: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    options = {"name": given} if isinstance(given, str) else dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"references: expected a name, or a mapping with a name and options, found {given!r}")
    return name, options


def measuring(methods: Methods) -> list[str]:
    """Return the names of the methods that pick from what was measured."""
    return [name for name, method in methods.items() if isinstance(method, Measuring)]


def first_references(methods: Methods, inputs: ReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, Starts]]:
    """Return the unpruned genome and what the methods pick without measuring; and what to measure for the rest of them.

    A genome appears once, under the first name it got. Each method draws from a generator of its own, seeded from one
    number of `inputs.rng` and its name, so leaving a method out does not change the others. What could not be reached
    is logged to `emoprune`.
    """
    seed = int(inputs.rng.integers(2**63))
    references, starts = [Reference("unpruned", inputs.unpruned)], dict[str, Starts]()
    for name, method in methods.items():
        found = method.found(replace(inputs, rng=np.random.default_rng([seed, *name.encode()])))
        references += found.references
        if found.starts:
            starts[name] = found.starts
        _say(found)
    return _each_once(inputs.levels.space, references), starts


def surveyed(
    methods: Methods, inputs: ReferenceInputs, starts: Mapping[str, Starts], measured: Measured
) -> list[Reference]:
    """Return what the methods pick from the errors of their `starts`."""
    references: list[Reference] = []
    for name, own in starts.items():
        method = methods[name]
        if isinstance(method, Measuring):
            found = method.picked(inputs, own, measured)
            references += found.references
            _say(found)
    return references


def _say(found: Found) -> None:
    for note in found.notes:
        _log.info("references: %s", note)


def _each_once(space: Space, references: Iterable[Reference]) -> tuple[Reference, ...]:
    first: dict[bytes, Reference] = {}
    for reference in references:
        first.setdefault(space.key(reference.genome), reference)
    return tuple(first.values())
