"""Conformance checks that the author of a problem, a method, an operator or an algorithm runs under pytest.

Derive a test class and say how to make the thing; pytest finds and runs all its checks:

    class TestDigits(ProblemConformance):
        genomes = 4  # random ones measured per check: fewer for a slow problem

        def problem(self) -> Problem:
            return Digits(images=500)

A method's whole test is one line, `TestMine = conformance("reference", Mine)`: it is put to use in a small instance of
the problem that it serves.

A broken promise raises a ContractError that says what was expected and what was found.
"""

from __future__ import annotations

from emoprune.testing.algorithms import AlgorithmConformance
from emoprune.testing.methods import (
    AuditConformance,
    CriterionConformance,
    KeptConformance,
    MaskConformance,
    MethodConformance,
    ObjectiveConformance,
    PartConformance,
    RecoveryConformance,
    ReferenceConformance,
    conformance,
)
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
    "AuditConformance",
    "CriterionConformance",
    "CrossoverConformance",
    "KeptConformance",
    "MaskConformance",
    "MethodConformance",
    "MutationConformance",
    "ObjectiveConformance",
    "OperatorConformance",
    "PartConformance",
    "ProblemConformance",
    "RecoveryConformance",
    "ReferenceConformance",
    "RepairConformance",
    "SamplingConformance",
    "SeedingConformance",
    "conformance",
    "legal_genomes",
    "sample_spaces",
]
