"""Every method of inference keeps the promises of its kind, ours and a stranger's."""

from __future__ import annotations

import pytest
from methods_for_tests import copied

from emoprune import plugins
from emoprune.testing import conformance

PROBLEMS = ("kv-cache", "tokens", "attention-top-p", "kv-hierarchy")
# Exports are checked with the problems: each loads what was written in a fresh process.
MEMBERS = {
    "genomes": 1,
    "sample": classmethod(copied),
    "test_an_export_writes_files_and_leaves_the_problem_as_it_was": None,
}
METHODS = [
    (kind, name, problem)
    for problem in PROBLEMS
    for kind in plugins.METHOD_KINDS
    for name in plugins.serving(kind, problem)
    if plugins.serves(plugins.find(kind, name, problem), problem)
]
# One class for each, which pytest finds; those whose promises others of their kind stand for run with the slow ones.
for _kind, _name, _problem in METHODS:
    _own = conformance(_kind, _name, _problem, **MEMBERS)
    quick = (_kind, _name) in {("selector", "snapkv"), ("selector", "saliency-diversity"), ("reference", "kvcrush")}
    globals()[f"Test {_kind} {_name} of {_problem}"] = _own if quick else pytest.mark.slow(_own)


def test_a_problem_finds_methods_of_every_kind_that_it_asks_for() -> None:
    kinds = {(kind, problem) for kind, _, problem in METHODS}
    everywhere = {(kind, problem) for problem in PROBLEMS for kind in ("reference", "objective")}
    assert kinds == everywhere | {("selector", "kv-cache"), ("selector", "tokens")}
