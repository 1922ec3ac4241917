"""References that a run kept are those of its own space, or refused."""

from __future__ import annotations

import pytest

from emoprune.errors import RunCorrupt
from emoprune.problems.storage.kept_references import from_json
from emoprune.space import Space


@pytest.mark.parametrize(
    "plain",
    [
        {"genomes": {"erk-50": [9, 0]}, "starts": {}},
        {"genomes": {"erk-50": [0]}, "starts": {}},
        {"genomes": {"erk-50": [0.5, 0]}, "starts": {}},
        {"genomes": {"erk-50": None}, "starts": {}},
        {"genomes": {"": [0, 0]}, "starts": {}},
        {"genomes": [], "starts": {}},
        {"genomes": {}, "starts": {"sensitivity": "many"}},
        {"genomes": {}, "starts": {"sensitivity": {"alone": [[9, 0]]}}},
        {},
    ],
)
def test_kept_references_that_do_not_fit_are_refused_with_what_to_do(plain: dict[str, object]) -> None:
    with pytest.raises(RunCorrupt, match=r"references\.json cannot be read .*Delete it, and it is made again"):
        from_json(plain, Space.ordered([("first", 4), ("second", 4)]))
