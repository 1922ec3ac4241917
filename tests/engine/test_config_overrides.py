from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from configs_for_tests import GOOD, KNAPSACK, only_complaint, search_with, written

from emoprune.config import load


class TestOverrides:
    def test_an_override_replaces_or_adds_a_value(self, tmp_path: Path) -> None:
        config = load(written(tmp_path, GOOD), ["search.population=30", "search.generations=7", "name=other"])
        assert (config.search.population, config.search.generations, config.name) == (30, 7, "other")

    def test_an_override_also_counts_where_the_file_has_no_such_section(self) -> None:
        assert load({"problem": KNAPSACK}, ["evaluation.workers=4"]).evaluation.workers == 4
        assert load({"problem": KNAPSACK, "search": None}, ["search.seed=4"]).search.seed == 4

    @pytest.mark.parametrize("crossover", [{}, {"crossover": "one-point"}, {"crossover": {"name": "one-point"}}])
    def test_an_operators_option_can_be_set_however_the_operator_was_given(self, crossover: dict[str, Any]) -> None:
        config = load({"problem": KNAPSACK, "search": crossover}, ["search.crossover.rate=0.8"])
        assert config.search.crossover.name == ("one-point" if crossover else "uniform")
        assert config.search.crossover.options == {"rate": 0.8}

    def test_the_problems_option_can_be_set_where_the_problem_is_a_bare_name(self) -> None:
        assert load({"problem": KNAPSACK}, ["problem.bits=14"]).problem.options == {"bits": 14}

    def test_another_operator_does_not_inherit_the_options_of_the_former(self) -> None:
        config = load({"problem": KNAPSACK, "search": {"crossover": {"name": "uniform", "share": 0.4}}})
        assert config.search.crossover.options == {"share": 0.4}
        after = load(config.model_dump(mode="json"), ["search.crossover=two-point"])
        assert after.search.crossover.options == {}

    def test_one_entry_of_a_list_can_be_set(self) -> None:
        config = load({"problem": KNAPSACK}, ["search.repair=[legal, {name: cost-bound, share: 0.5}]"])
        again = load(config.model_dump(mode="json"), ["search.repair.1.share=0.7"])
        assert again.search.repair[1].options == {"share": 0.7}

    def test_an_empty_value_or_null_takes_a_limit_away(self) -> None:
        for override in ("evaluation.time_limit=", "evaluation.time_limit=null"):
            assert load({"problem": KNAPSACK}, [override]).evaluation.time_limit is None

    def test_the_last_of_two_overrides_counts(self) -> None:
        assert load({"problem": KNAPSACK}, ["search.seed=3", "search.seed=4"]).search.seed == 4

    @pytest.mark.parametrize(
        ("override", "said"),
        [
            ("search.population", ": expected KEY=VALUE, for instance search.population=80"),
            ("=3", ": expected KEY=VALUE"),
            ("search..seed=3", ": expected KEY=VALUE"),
            ("search.seed=[", ": its value is wrong: not YAML: "),
            ("search.seed=!!python/name:os.system x", ": its value is wrong: the tag !!python/name:os.system"),
            ("search.seed=none", ": expected an integer >= 0 and < 9223372036854775808, found 'none'"),
            ("search.sede=3", ": unknown key; did you mean 'seed'?"),
            ("name.first=3", ": 'name' is 'rucksack', which has no key 'first'"),
            ("search.repair.3=legal", ": 'search.repair' is a list of 1, counted from 0; there is no entry '3'"),
            ("search.repair.first=legal", ": 'search.repair' is a list of 1, counted from 0; there is no entry 'fi"),
            ("search={seed: many}", ": search.seed: expected an integer"),
        ],
    )
    def test_a_wrong_override_is_named_instead_of_the_file(self, tmp_path: Path, override: str, said: str) -> None:
        assert only_complaint(tmp_path, GOOD, [override]).startswith(f"--set {override}{said}")

    def test_a_mistake_of_the_file_that_an_override_mends_is_none(self, tmp_path: Path) -> None:
        assert load(written(tmp_path, search_with("population: many")), ["search.population=8"]).search.population == 8
