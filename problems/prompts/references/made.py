"""The references of token deletion, made once per run and kept with what they cost."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from emoprune.contracts import Reference
from emoprune.errors import ContractError
from emoprune.problems.prompts.references.contract import PromptReference, ReferenceInputs, Worth
from emoprune.problems.prompts.scorers.ledger import BudgetSpent
from emoprune.problems.storage.found_references import found_unmeasured
from emoprune.problems.storage.kept_references import genomes_as_json, genomes_from_json, readable
from emoprune.space import IntArray, Space

__all__ = ["MadeReferences", "kept_references", "made_references"]

UNPRUNED = "unpruned"
ORDER = 5  # of a method that does not say when it goes to work


@dataclass(frozen=True, slots=True, eq=False)
class MadeReferences:
    """References, the unpruned first, and how many prompts were measured to make them, by method."""

    references: Sequence[Reference]
    evaluations: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return plain data that `kept_references` reads back."""
        return {"genomes": genomes_as_json(self.references), "evaluations": dict(self.evaluations)}


class _Counted:
    """What genomes are worth, and how often that was asked."""

    def __init__(self, worth: Worth) -> None:
        self._worth, self.asked = worth, 0

    def __call__(self, genome: IntArray, needed: float) -> float | None:
        self.asked += 1
        return self._worth(genome, needed)


def made_references(
    methods: Mapping[str, PromptReference],
    inputs: ReferenceInputs,
    canonical: Callable[[IntArray], IntArray],
) -> MadeReferences:
    """Let each method find its references, those first that others look at.

    What methods ended with that measured prompts comes first, then what was on their way, then what the others found.

    Args:
        methods: By name.
        inputs: What they may look at; each gets a copy of the generator.
        canonical: Returns the genome that stands for each one's text, both (n, genes).

    Raises:
        ContractError: A method breaks its contract.
        BudgetSpent: What they ask of an endpoint would pass a bound of the run.
    """
    space = inputs.space
    ended, on_the_way, others = list[Reference](), list[Reference](), list[Reference]()
    evaluations: dict[str, int] = {}
    for name, method in sorted(methods.items(), key=lambda item: getattr(item[1], "order", ORDER)):
        worth = _Counted(inputs.worth)
        own = replace(inputs, rng=copy.deepcopy(inputs.rng), worth=worth, ended=tuple(ended))
        try:
            found = found_unmeasured(name, method, own, "measure with `inputs.worth`")
        except BudgetSpent as error:
            counts = {**evaluations, name: worth.asked}
            told = ", ".join(f"{each} ({count} prompts)" for each, count in counts.items())
            raise BudgetSpent(f"{error}, to make the references {told}") from error
        if worth.asked:
            evaluations[name] = worth.asked
            ended += found[:1]
            on_the_way += found[1:]
        else:
            others += found
    made = [Reference(UNPRUNED, space.full), *ended, *on_the_way, *others]
    names = [each.name for each in made]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ContractError(f"references: expected different names, found {twice!r} twice")
    genomes = canonical(np.array([each.genome for each in made], dtype=np.int64))
    return MadeReferences([Reference(*pair) for pair in zip(names, genomes, strict=True)], evaluations)


def kept_references(path: Path, space: Space) -> MadeReferences | None:
    """Return the references in a file, legal in `space`; None if there is no file.

    Raises:
        RunCorrupt: The file is of another form, or of another prompt.
    """
    if not path.exists():
        return None
    with readable("another prompt"):
        plain = json.loads(path.read_text(encoding="utf-8"))
        evaluations = {name: int(count) for name, count in plain["evaluations"].items()}
        return MadeReferences(genomes_from_json(plain["genomes"], space), evaluations)
