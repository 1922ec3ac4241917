"""A small causal model and three tables of examples, which the tests of a file share."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompts_for_tests import causal_folder, parts


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a causal model."""
    return causal_folder(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables by the part of the data that they are for."""
    return parts(tmp_path_factory.mktemp("examples"))
