"""All methods by name, and the references that some of them make."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from emoprune.contracts import Reference
from emoprune.errors import ConfigError
from emoprune.plugins import nearest
from emoprune.problems.networks.references.balanced import balanced
from emoprune.problems.networks.references.eagle_eye import eagle_eye
from emoprune.problems.networks.references.erk import erk
from emoprune.problems.networks.references.global_magnitude import global_magnitude
from emoprune.problems.networks.references.inputs import Found, ReferenceInputs
from emoprune.problems.networks.references.pq_ratios import pq_half_and_one, pq_one_and_two
from emoprune.problems.networks.references.pyramidal import pyramidal
from emoprune.problems.networks.references.random_ratios import random_ratios
from emoprune.problems.networks.references.sensitivity import sensitivity
from emoprune.problems.networks.references.uniform import uniform

__all__ = ["MEASURING", "METHODS", "all_references", "check_names"]

_log = logging.getLogger("emoprune")

METHODS: Mapping[str, Callable[[ReferenceInputs], Found]] = MappingProxyType(
    {
        "uniform": uniform,
        "global-magnitude": global_magnitude,
        "erk": erk,
        "balanced": balanced,
        "pyramidal": pyramidal,
        "pq-0_5-1": pq_half_and_one,
        "pq-1-2": pq_one_and_two,
        "random": random_ratios,
        "sensitivity": sensitivity,
        "eagle-eye": eagle_eye,
    }
)
MEASURING = ("sensitivity", "eagle-eye")  # these spend evaluations: made once per run, then kept


def check_names(names: Sequence[str]) -> None:
    """Refuse names that no method has, or that come twice.

    Raises:
        ConfigError: It says which name is meant.
    """
    for name in names:
        if name not in METHODS:
            raise ConfigError(f"references: no method is called {name!r}{nearest(name, tuple(METHODS))}")
    if len(set(names)) != len(names):
        raise ConfigError(f"references: expected each method once, found {list(names)}")


def all_references(names: Sequence[str], inputs: ReferenceInputs) -> tuple[tuple[Reference, ...], dict[str, int]]:
    """Return the unpruned genome and what the methods `names` pick, and how many evaluations each method spent.

    A genome appears once, under the first name it got. Each method draws from a generator of its own, seeded from one
    number of `inputs.rng` and its name, so leaving a method out does not change the others. What could not be reached
    is logged to `emoprune`.

    Raises:
        ConfigError: A name is not known.
        ContractError: A method needs a `measure` that is not there.
    """
    check_names(names)
    seed = int(inputs.rng.integers(2**63))
    made, spent = [Reference("unpruned", inputs.unpruned)], {}
    for name in names:
        found = METHODS[name](replace(inputs, rng=np.random.default_rng([seed, *name.encode()])))
        made += found.references
        spent[name] = found.evaluations
        for note in found.notes:
            _log.info("references: %s", note)
    return _each_once(inputs, made), spent


def _each_once(inputs: ReferenceInputs, references: Sequence[Reference]) -> tuple[Reference, ...]:
    space = inputs.levels.space
    first: dict[bytes, Reference] = {}
    for reference in references:
        first.setdefault(space.key(reference.genome), reference)
    return tuple(first.values())
