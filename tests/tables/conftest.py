"""What tests of tables ask for: a comparison at the end of a search that is no longer than they need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emoprune.problems.tables.subsets import comparing


@pytest.fixture(scope="module")
def compared_briefly() -> Iterator[None]:
    """Let what a search found be compared with all columns on two folds, cut once, instead of on ten.

    Features are found anew on each of these folds, which takes most of a small search's time; what goes into a search
    and comes out of it does not depend on how many there are.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing, "FOLDS", 2)
        patch.setattr(comparing, "REPEATS", 1)
        yield
