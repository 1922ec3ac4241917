from __future__ import annotations

import re
from pathlib import Path

import pytest
from configs_for_tests import GOOD, only_complaint, search_with


class TestYamlThatIsRefused:
    def test_a_tab_is_named_with_its_line(self, tmp_path: Path) -> None:
        line = only_complaint(tmp_path, "search:\n\tpopulation: 3\n")
        assert line == "knapsack.yaml:2: a tab; YAML is indented with spaces, so replace it"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("a: [1, 2", "knapsack.yaml:1: not YAML: "),
            ("a: b: c", "knapsack.yaml:1: not YAML: mapping values are not allowed here"),
            ("a: 1\nb: *nobody", "knapsack.yaml:2: not YAML: found undefined alias 'nobody'"),
            ("a: 1\n---\nb: 1", "knapsack.yaml:2: not YAML: but found another document"),
            ("a: 1\nb: \x07", "knapsack.yaml:2: not YAML: the character U+0007 is not allowed; remove it"),
        ],
    )
    def test_broken_yaml_is_named_with_its_line(self, tmp_path: Path, text: str, said: str) -> None:
        assert only_complaint(tmp_path, text).startswith(said)

    def test_a_key_given_twice_is_refused_with_both_lines(self, tmp_path: Path) -> None:
        line = only_complaint(tmp_path, GOOD + "problem: other\n")
        assert line == "knapsack.yaml:8: problem: given twice, first on line 2; remove one of them"

    @pytest.mark.parametrize(
        "tag", ["!!python/object/apply:os.mkdir", "!!python/name:os.mkdir", "!!binary", "!!timestamp", "!mine"]
    )
    def test_a_tag_is_refused_with_its_line_and_makes_nothing(self, tmp_path: Path, tag: str) -> None:
        canary = tmp_path / "canary"
        value = f"[{canary}]" if "apply" in tag else "x"
        line = only_complaint(tmp_path, GOOD + f"search: {tag} {value}\n".replace("search", "config_version"))
        assert line == f"knapsack.yaml:8: config_version: the tag {tag} is refused; a config holds plain values only"
        assert not canary.exists()

    @pytest.mark.timeout(20)
    def test_an_alias_bomb_is_refused(self, tmp_path: Path) -> None:
        bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
        assert "more than 10000 values" in only_complaint(tmp_path, bomb)

    @pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "[" * 60 + "]" * 60])
    def test_what_contains_itself_or_has_no_bottom_is_refused(self, tmp_path: Path, text: str) -> None:
        assert "nested deeper than 40 levels" in only_complaint(tmp_path, text)

    def test_a_key_that_is_a_list_is_refused(self, tmp_path: Path) -> None:
        assert only_complaint(tmp_path, GOOD + "? [a, b]\n: 3\n").startswith("knapsack.yaml:8: expected a plain name")

    @pytest.mark.parametrize("number", [".inf", ".nan", "1e999"])
    def test_a_number_that_is_not_finite_is_no_number(self, tmp_path: Path, number: str) -> None:
        line = only_complaint(tmp_path, search_with(f"time_limit: {number}"))
        assert re.match(r"knapsack.yaml:3: search.time_limit: expected a (finite )?number.*, found", line)
