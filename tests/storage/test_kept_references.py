"""References are kept as plain data, and names of methods that there are not are refused."""

from __future__ import annotations

import pytest

from emoprune.errors import ConfigError, RunCorrupt
from emoprune.problems.storage.kept_references import check_names, from_json
from emoprune.space import Space


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["uniform", "randon"], "references: no method is called 'randon'; did you mean 'random'"),
        (["erk"], r"no method is called 'erk' \(there are: uniform, random\)"),
        (["random", "uniform", "random"], "references: expected each method once, found 'random' again"),
    ],
)
def test_a_method_that_there_is_not_or_that_is_named_twice_is_refused(given: list[str], complaint: str) -> None:
    check_names(["random"], ["uniform", "random"])
    with pytest.raises(ConfigError, match=complaint):
        check_names(given, ["uniform", "random"])


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
