"""All reference methods by name, and what those that are asked for find."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from emoprune.problems.tables.subsets.references.boruta import boruta
from emoprune.problems.tables.subsets.references.forward import forward, forward_new
from emoprune.problems.tables.subsets.references.inputs import ReferenceInputs, Subset
from emoprune.problems.tables.subsets.references.mutual_information import mutual_information
from emoprune.problems.tables.subsets.references.openfe import openfe
from emoprune.problems.tables.subsets.references.rfe import rfe

__all__ = ["METHODS", "found_by"]

_log = logging.getLogger("emoprune")

METHODS: Mapping[str, Callable[[ReferenceInputs], list[Subset]]] = MappingProxyType(
    {
        "openfe": openfe,
        "rfe": rfe,
        "mutual-information": mutual_information,
        "boruta": boruta,
        "forward": forward,
        "forward-new": forward_new,
    }
)


def found_by(names: Sequence[str], inputs: ReferenceInputs) -> list[Subset]:
    """Return all columns, called `unpruned`, and then what each method picks."""
    found: list[Subset] = [("unpruned", inputs.columns)]
    for name in names:
        own = METHODS[name](inputs)
        found += own
        if not own:
            _log.info("references: %s found nothing on this table", name)
    return found
