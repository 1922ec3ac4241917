from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from configs_for_tests import GOOD, KNAPSACK, complaints, only_complaint, search_with, written
from hypothesis import given
from hypothesis import strategies as st

from emoprune.config import EvaluationSettings, SearchSettings, load, resolved
from emoprune.config.yaml_reader import Document, parse
from emoprune.errors import ConfigError


class TestWhatCannotBeRead:
    def test_a_missing_file_names_the_nearest_one_beside_it(self, tmp_path: Path) -> None:
        written(tmp_path, GOOD)
        with pytest.raises(ConfigError, match=r"no config file .*knapsak.yaml'; did you mean '.*/knapsack.yaml'\?$"):
            load(tmp_path / "knapsak.yaml")

    def test_a_wrong_name_names_the_nearest_example(self) -> None:
        with pytest.raises(ConfigError, match=r"no config file 'digist'; did you mean 'digits'\?$"):
            load("digist")

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=f"expected a YAML file, found a folder: {tmp_path}$"):
            load(tmp_path)

    @pytest.mark.timeout(10)
    def test_a_pipe_that_nobody_writes_to_is_refused_and_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.yaml")
        with pytest.raises(ConfigError, match="found something that is not a regular file"):
            load(tmp_path / "pipe.yaml")

    def test_a_path_with_a_nul_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
            load("a\0b.yaml")

    def test_a_file_that_the_system_refuses_to_read_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"config file '/proc/self/mem' cannot be read: Input/output error"):
            load("/proc/self/mem")

    def test_a_file_of_more_than_a_megabyte_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="expected a config of at most 1,000,000 bytes, found more"):
            load(written(tmp_path, b"#" * 1_000_001))

    def test_text_that_is_not_utf_8_is_refused_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"knapsack.yaml:2: expected UTF-8 text, found the byte 0xe9; save"):
            load(written(tmp_path, "name: a\nproblem: caf\u00e9".encode("latin-1")))

    @pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", "null\n"])
    def test_an_empty_file_is_refused(self, tmp_path: Path, text: str) -> None:
        assert only_complaint(tmp_path, text).startswith("knapsack.yaml: empty; expected at least the key 'problem'")

    @pytest.mark.parametrize(("text", "found"), [("- a\n- b\n", "a list"), ("digits", "'digits'"), ("3", "3")])
    def test_a_file_without_keys_at_the_top_is_refused(self, tmp_path: Path, text: str, found: str) -> None:
        expected = f"knapsack.yaml: expected keys such as 'problem:' at the top, found {found}"
        assert only_complaint(tmp_path, text) == expected


class TestMistakesInValues:
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("generatoins: 3", "search.generatoins: unknown key; did you mean 'generations'?"),
            ("workers: 3", "search.workers: unknown key; it belongs under 'evaluation'"),
            ("population: many", "search.population: expected an integer from 4 to 1000000, found 'many'"),
            ("population: -1", "search.population: expected an integer from 4 to 1000000, found -1"),
            ("population: true", "search.population: expected an integer from 4 to 1000000, found true"),
            ("generations: 2.5", "search.generations: expected an integer >= 1, found 2.5"),
            ("generations: '3'", "search.generations: expected an integer >= 1, found '3'; remove the quotes"),
            ("generations:", "search.generations: expected an integer >= 1, found nothing"),
            ("time_limit: 0", "search.time_limit: expected a number > 0 or nothing, found 0"),
            (
                "algorithm: nsga4",
                ("search.algorithm: no algorithm is called 'nsga4'; did you mean 'nsga3'?"),
            ),
            ("warm_start: [3]", "search.warm_start.0: expected text, found 3; put it in quotes"),
            ("warm_start: a", "search.warm_start: expected a list, each entry text, found 'a'"),
            (
                "crossover: [uniform]",
                (
                    "search.crossover: expected a name (`emoprune list` shows them), or a mapping with the name and "
                    "options, found a list"
                ),
            ),
            ("crossover: {rate: 1}", "search.crossover.name: required: text"),
            ("crossover: unifrom", "search.crossover: no crossover is called 'unifrom'; did you mean 'uniform'?"),
            ("mutation: latin", "search.mutation: no mutation is called 'latin' (there are: by-kind, deletion, flip, "),
            (
                "crossover: {name: uniform, rtae: 1}",
                "search.crossover.rtae: unknown option of crossover 'uniform'; did you mean 'rate'?",
            ),
            (
                "crossover: {name: uniform, rate: often}",
                "search.crossover.rate: expected a number, found 'often'",
            ),
            ("crossover: {name: uniform, rate: 1.5}", "search.crossover: UniformCrossover: expected rate between"),
            ("repair: [legal, {name: cost-bound}]", "search.repair.1.share: required: a number"),
            ("repair: [{name: legal, hard: 1}]", "search.repair.0.hard: unknown option of repair 'legal'"),
            ("repair: legal", "search.repair: expected a list, each entry a name"),
            ("evaluations: 39", "search.evaluations: expected at least the population of 40, found 39; the first"),
        ],
    )
    def test_a_mistake_is_told_in_our_own_words_with_its_line(self, tmp_path: Path, line: str, said: str) -> None:
        found = only_complaint(tmp_path, search_with(line))
        assert found.startswith(f"knapsack.yaml:3: {said}")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("workers: 0", "evaluation.workers: expected an integer >= 1 or 'auto', found 0"),
            ("chunk: some", "evaluation.chunk: expected an integer >= 1 or 'auto', found 'some'"),
            ("{backend: serial, gpus_per_worker: 1}", "evaluation.gpus_per_worker: the serial backend has no GPU"),
            ("{backend: serial, runtime_env: {pip: [a]}}", "evaluation.runtime_env: the serial backend stays in this"),
            ("{node_labels: {pool: 3}}", "evaluation.node_labels.pool: expected"),
            ("{resources_per_worker: {reader: 0}}", "evaluation.resources_per_worker.reader: expected"),
            ("{memory_per_worker: -1}", "evaluation.memory_per_worker: expected"),
            ("{backend: serial, address: auto}", "evaluation.address: the serial backend stays in this process"),
        ],
    )
    def test_what_the_machine_cannot_mean_is_refused(self, tmp_path: Path, line: str, said: str) -> None:
        section = f"evaluation: {line}" if line.startswith("{") else f"evaluation: {{{line}}}"
        assert only_complaint(tmp_path, f"problem: '{KNAPSACK}'\n{section}\n").startswith(f"knapsack.yaml:2: {said}")

    @pytest.mark.parametrize("name", ["../x", "a/b", "-a", "a" * 33, "", "\u00e9"])
    def test_a_name_that_is_no_folder_name_is_refused(self, tmp_path: Path, name: str) -> None:
        line = only_complaint(tmp_path, f'name: "{name}"\nproblem: "{KNAPSACK}"\n')
        assert line.startswith("knapsack.yaml:1: name: expected 1 to 32 letters, digits")

    def test_a_config_without_a_problem_is_told_where_to_find_one(self) -> None:
        line = complaints({"search": {}})[1]
        assert line.startswith("problem: required: a name (`emoprune list` shows them)")

    def test_a_wrong_problem_option_is_refused_before_the_problem_is_made(self, tmp_path: Path) -> None:
        line = only_complaint(tmp_path, f"problem:\n  name: '{KNAPSACK}'\n  bits: few\n")
        assert line == "knapsack.yaml:3: problem.bits: expected an integer, found 'few'"

    def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(self, tmp_path: Path) -> None:
        text = """\
problem: chanels
search:
  generatoins: 3
  population: many
  seed: 1
  seed: 2
  sampling: !!python/name:os.system x
  crossover: {name: uniform, rtae: 3}
  mutation: {name: by-kind, rate: 1.5}
evaluation:
  workers: 0
"""
        path = written(tmp_path, text)
        first, *rest = complaints(path, ["search.repair.0=leagl", "search.crossover.name=unifrom"])
        assert first == f"9 errors in {path}"
        assert [line.removeprefix(f"{path}:").partition(": ")[0] for line in rest[:-2]] == [
            *("1", "3", "4", "6", "7", "9", "11")
        ]
        assert rest[-2].startswith("--set search.repair.0=leagl: no repair is called 'leagl'; did you mean 'legal'?")
        assert rest[-1].startswith("--set search.crossover.name=unifrom: no crossover is called 'unifrom'")

    def test_a_mistake_in_a_mapping_has_its_key_but_no_line(self) -> None:
        first, line = complaints({"problem": KNAPSACK, "search": {"population": 3}})
        assert first == "1 error in the config"
        assert line == "search.population: expected an integer from 4 to 1000000, found 3"


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = sorted(
    {"search", "evaluation", *SearchSettings.model_fields, *EvaluationSettings.model_fields, "name", "nothing"}
)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_in_our_words(text: str) -> None:
    assert isinstance(parse(text, "x.yaml"), Document)
    with contextlib.suppress(ConfigError):
        load({"problem": KNAPSACK}, [text])


@given(st.dictionaries(st.sampled_from(KEYS), plain_values | st.dictionaries(st.sampled_from(KEYS), plain_values)))
def test_any_plain_config_gives_one_line_per_mistake_or_loads(values: dict[str, Any]) -> None:
    try:
        config = load({"problem": KNAPSACK, **values})
    except ConfigError as error:
        first, *rest = str(error).splitlines()
        assert re.fullmatch(r"\d+ errors? in the config", first)
        assert int(first.split()[0]) == len(rest)
    else:
        assert resolved(load(resolved(config))) == resolved(config)
