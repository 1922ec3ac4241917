"""Every method of transformers keeps the promises of its kind, and a stranger's is as good as a built-in one."""

from __future__ import annotations

from typing import Any

import pytest

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.sample import heads_and_neurons
from emoprune.testing import conformance

# Checked once for each problem, with the problem: an export loads what was written in a fresh process.
UNEXPORTED = {"test_an_export_writes_files_and_leaves_the_problem_as_it_was": None}
PARTS = [("reference", "heads-and-neurons"), ("saliency", "transformer-weight-ratios")]

for kind, problem in PARTS:
    for name in plugins.serving(kind, problem):
        members: dict[str, Any] = {"genomes": 1, **UNEXPORTED}
        globals()[f"Test {kind} {name} of {problem}"] = conformance(kind, name, problem, **members)


def test_a_reference_that_is_not_known_is_refused() -> None:
    with pytest.raises(ConfigError, match="references: no reference is called 'unifrom'; did you mean 'uniform'"):
        heads_and_neurons(references=["unifrom"])
