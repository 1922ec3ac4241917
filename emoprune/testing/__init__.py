"""Conformance checks that the author of a problem, an operator or an algorithm runs under pytest.

Derive a test class and say how to make the thing; pytest finds and runs all its checks:

    class TestDigits(ProblemConformance):
        genomes = 4  # random ones measured per check: fewer for a slow problem

        def problem(self) -> Problem:
            return Digits(images=500)

A broken promise raises a ContractError that says what was expected and what was found.
"""

from __future__ import annotations

from emoprune.testing.algorithms import AlgorithmConformance
from emoprune.testing.operators import (
    CrossoverConformance,
    MutationConformance,
    OperatorConformance,
    RepairConformance,
    SamplingConformance,
    SeedingConformance,
)
from emoprune.testing.problems import ProblemConformance
from emoprune.testing.samples import legal_genomes, sample_spaces

__all__ = [
    "AlgorithmConformance",
    "CrossoverConformance",
    "MutationConformance",
    "OperatorConformance",
    "ProblemConformance",
    "RepairConformance",
    "SamplingConformance",
    "SeedingConformance",
    "legal_genomes",
    "sample_spaces",
]
