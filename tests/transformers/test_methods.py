"""Every method of transformers keeps the promises of its kind, and a stranger's is as good as a built-in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.problem import TransformerProblem
from emoprune.problems.networks.transformers.sample import heads_and_neurons
from emoprune.testing import conformance

HEADS, RATIOS = "heads-and-neurons", "transformer-weight-ratios"
# Exports are checked with the problems: each loads what was written in a fresh process.
PART = {"genomes": 1, "test_an_export_writes_files_and_leaves_the_problem_as_it_was": None}
RECOVERY = {"shared": {"epochs": 0.1}, "pytestmark": pytest.mark.usefixtures("unverified")}
CHECKED: list[tuple[str, str, Mapping[str, Any]]] = [
    ("reference", HEADS, PART),
    ("saliency", RATIOS, PART),
    ("audit", HEADS, {}),
    ("recovery", HEADS, RECOVERY),
    ("recovery", RATIOS, RECOVERY),
]

for kind, problem, members in CHECKED:
    for name in plugins.serving(kind, problem):
        if not plugins.serves(plugins.find(kind, name, problem), problem):
            continue
        globals()[f"Test {kind} {name} of {problem}"] = conformance(kind, name, problem, **members)


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out, which other tests wait for."""
    write = TransformerProblem.write

    def quick(self: Any, *arguments: Any, **named: Any) -> Any:
        return write(self, *arguments, **{**named, "verify": False})

    monkeypatch.setattr(TransformerProblem, "write", quick)


def test_a_reference_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="references: no reference is called 'unifrom'; did you mean 'uniform'"):
        heads_and_neurons(references=["unifrom"])
