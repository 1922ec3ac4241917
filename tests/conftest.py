"""What holds for all tests: nothing is read from or left in the cache folder of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let trained networks be kept in a folder of this session; child processes inherit the variable."""
    before = os.environ.get("EMOPRUNE_CACHE")
    folder = tmp_path_factory.mktemp("cache")
    os.environ["EMOPRUNE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["EMOPRUNE_CACHE"]
    else:
        os.environ["EMOPRUNE_CACHE"] = before
