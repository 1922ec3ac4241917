"""Methods on trial: copies of the samples that they are tried on, a stranger's by its target, and broken promises."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.errors import ContractError
from emoprune.testing import MethodConformance, conformance

__all__ = ["copied", "prepared", "require_broken", "target", "without_verifying"]

MADE: dict[str, Problem] = {}


def copied(cls: type[MethodConformance], **options: Any) -> Problem:
    """Return a copy of the problem's sample; making each anew would try its model or trace its network again."""
    key = f"{cls.served()} {options}"
    if key not in MADE:
        MADE[key] = plugins.find("sample", cls.served())(**options)
    return copy.deepcopy(MADE[key])


def require_broken(kind: str, method: type, problem: str, check: str, complaint: str) -> None:
    """Fail unless this check of a method's conformance fails with this complaint."""
    broken = conformance(kind, method, problem, genomes=1, sample=classmethod(copied))
    try:
        with pytest.raises(ContractError, match=complaint):
            getattr(broken(), check)()
    finally:
        getattr(broken, "teardown_class", lambda: None)()


def target(own: type) -> str:
    """Return what a config has for a class."""
    return f"{own.__module__}:{own.__name__}"


def prepared(problem: Any, folder: Path) -> Any:
    """Return the problem, prepared and set up."""
    problem.prepare(folder, 1)
    problem.setup("cpu", 1)
    return problem


def without_verifying(patch: pytest.MonkeyPatch, owner: type, writing: str) -> None:
    """Let a method that writes leave out the fresh process in which it verifies, which other tests wait for."""
    write = getattr(owner, writing)

    def quick(self: Any, *arguments: Any, **named: Any) -> Any:
        return write(self, *arguments, **{**named, "verify": False})

    patch.setattr(owner, writing, quick)
