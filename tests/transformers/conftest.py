"""What tests of transformers leave out where it is not what they are about."""

from __future__ import annotations

import pytest
from methods_for_tests import without_verifying

from emoprune.problems.networks.transformers.problem import TransformerProblem


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out, which other tests wait for."""
    without_verifying(monkeypatch, TransformerProblem, "write")
