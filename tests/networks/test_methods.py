"""Every method of the problems on networks, and those of a stranger, which go through the same door."""

from __future__ import annotations

import copy
from typing import Any

from emoprune import plugins
from emoprune.contracts import Problem
from emoprune.testing import MethodConformance, conformance

PROBLEMS = ("channels", "subnetworks", "weight-ratios", "bit-widths")
KINDS = ("criterion", "compensation", "proxy", "reference", "objective", "recovery", "audit")
# Checked once for each problem, by other tests: an export loads what was written in a fresh process.
UNEXPORTED = {"test_an_export_writes_files_and_leaves_the_problem_as_it_was": None}
QUICK: dict[str, dict[str, Any]] = {
    "eagle-eye": {"options": {"candidates": 2, "tries": 500}},
    "fine-tuned": {"options": {"epochs": 0.5, "repeats": 1, "siblings": 0}},
    "finetune": {"shared": {"epochs": 1, "formats": ["safetensors"]}},
    "distil": {"shared": {"epochs": 1, "formats": ["safetensors"]}},
    "constrained": {"shared": {"epochs": 1, "formats": ["safetensors"]}},
}


def own_methods(kind: str) -> list[tuple[str, str]]:
    """Return the installed methods of a kind that problems on networks without transformers serve, each once."""
    found: dict[str, str] = {}
    for problem in PROBLEMS:
        for name, entry in plugins.serving(kind, problem).items():
            if "transformers" not in entry.extras and plugins.serves(entry.load(), problem):
                found.setdefault(entry.value, f"{problem} {name}")
    return [(name.partition(" ")[0], name.partition(" ")[2]) for name in found.values()]


MADE: dict[str, Problem] = {}


def copied(cls: type[MethodConformance], **options: Any) -> Problem:
    """Return a copy of the problem's sample: each new one would read all source files for its network's structure."""
    key = f"{cls.served()} {options}"
    if key not in MADE:
        MADE[key] = plugins.find("sample", cls.served())(**options)
    return copy.deepcopy(MADE[key])


METHODS = [(kind, name, problem) for kind in KINDS for problem, name in own_methods(kind)]

# Each method is tried by a class that is made for it here, so one that is added is covered by being installed. What
# is measured with a clock is another number each time, and has tests of its own.
for _kind, _name, _problem in METHODS:
    if not _name.startswith("milliseconds"):
        _members = {"genomes": 1, "sample": classmethod(copied), **UNEXPORTED, **QUICK.get(_name, {})}
        globals()[f"Test {_kind} {_name} of {_problem}"] = conformance(_kind, _name, _problem, **_members)
