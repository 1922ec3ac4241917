from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from configs_for_tests import GOOD, KNAPSACK, complaints, search_with, written

from emoprune import config as configs
from emoprune.config import Config, EvaluationSettings, SearchSettings, as_yaml, changed, check_resume, load, resolved
from emoprune.errors import ConfigError


class TestWhatIsRead:
    def test_a_good_file_gives_the_config_it_says(self, tmp_path: Path) -> None:
        config = load(written(tmp_path, GOOD))
        assert config.name == "rucksack"
        assert config.problem.options == {"bits": 12}
        assert config.search.population == 20
        assert config.search.crossover.name == "one-point"
        assert config.evaluation.backend == "serial"

    def test_a_path_as_text_and_a_mapping_give_the_same(self, tmp_path: Path) -> None:
        path = written(tmp_path, GOOD)
        assert resolved(load(str(path))) == resolved(load(path)) == resolved(load(yaml.safe_load(GOOD)))

    def test_a_byte_order_mark_is_no_part_of_the_text(self, tmp_path: Path) -> None:
        assert load(written(tmp_path, b"\xef\xbb\xbf" + GOOD.encode())).name == "rucksack"

    def test_a_section_with_every_line_commented_out_means_the_defaults(self, tmp_path: Path) -> None:
        config = load(written(tmp_path, f"problem: '{KNAPSACK}'\nsearch:\n  # population: 3\nevaluation:\n"))
        assert config.search == SearchSettings()
        assert config.evaluation == EvaluationSettings()

    @pytest.mark.parametrize(("text", "seconds"), [("1e-3", 0.001), ("2.5", 2.5), ("60", 60.0), ("1.e2", 100.0)])
    def test_numbers_are_read_as_yaml_1_2_reads_them(self, tmp_path: Path, text: str, seconds: float) -> None:
        assert load(written(tmp_path, search_with(f"time_limit: {text}"))).search.time_limit == seconds

    @pytest.mark.parametrize("text", ["no", "on", "2026-11-23", "a"])
    def test_words_that_older_yaml_takes_for_other_things_stay_words(self, tmp_path: Path, text: str) -> None:
        assert load(written(tmp_path, f"name: {text}\nproblem: '{KNAPSACK}'")).name == text

    def test_an_alias_repeats_what_its_anchor_holds(self, tmp_path: Path) -> None:
        text = f"problem: '{KNAPSACK}'\nsearch: {{sampling: &s {{name: latin}}, warm_start: [&run first, *run]}}"
        assert load(written(tmp_path, text)).search.warm_start == ("first", "first")

    def test_numpy_numbers_and_paths_in_a_mapping_become_plain(self) -> None:
        config = load({"problem": {"name": KNAPSACK, "bits": np.int64(14)}, "search": {"warm_start": [Path("a")]}})
        assert config.problem.options == {"bits": 14}
        assert config.search.warm_start == ("a",)

    def test_a_mapping_with_an_object_in_it_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"holds what YAML cannot: expected text, numbers, .* found object"):
            load({"problem": {"name": KNAPSACK, "bits": object()}})

    def test_a_mapping_with_a_number_that_is_not_finite_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="holds what YAML cannot"):
            load({"problem": KNAPSACK, "search": {"time_limit": float("nan")}})

    def test_what_is_loaded_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load({"problem": KNAPSACK}).name = "other"


class TestImportTargets:
    MODULE = "class Thing:\n    def __init__(self, size: int = 3) -> None: ...\n"

    def test_the_module_may_lie_beside_the_config_file(self, tmp_path: Path) -> None:
        written(tmp_path, self.MODULE, "thing_beside.py")
        config = load(written(tmp_path, "problem: {name: 'thing_beside:Thing', size: 4}"))
        assert resolved(config)["problem"] == {"name": "thing_beside:Thing", "size": 4}
        assert config.origin.folders == (tmp_path.resolve(),)
        assert str(tmp_path) not in sys.path

    def test_the_module_may_lie_in_a_folder_that_is_named(self, tmp_path: Path) -> None:
        written(tmp_path, self.MODULE, "thing_elsewhere.py")
        assert load({"problem": "thing_elsewhere:Thing"}, folders=[tmp_path]).problem.name == "thing_elsewhere:Thing"

    def test_nothing_is_imported_while_anything_else_is_wrong(self, tmp_path: Path) -> None:
        written(tmp_path, "import pathlib\npathlib.Path(__file__).with_name('canary').touch()\n", "thing_that_acts.py")
        path = written(tmp_path, "problem: thing_that_acts:Thing\nsearch: {population: 3}\n")
        assert complaints(path)[0].startswith("1 error")
        assert not (tmp_path / "canary").exists()
        assert "has no class or function 'Thing'" in complaints(path, ["search.population=4"])[1]
        assert (tmp_path / "canary").exists()

    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("raise RuntimeError('at import')", "importing .* failed: RuntimeError: at import; mend that module"),
            ("def broken(:", "importing .* failed: SyntaxError: "),
            ("import not_there_at_all", "No module named 'not_there_at_all'; install what it imports"),
        ],
    )
    def test_a_module_that_cannot_be_imported_says_why(self, tmp_path: Path, source: str, said: str) -> None:
        written(tmp_path, source, "thing_that_fails.py")
        with pytest.raises(ConfigError, match=said):
            load(written(tmp_path, "problem: thing_that_fails:Thing"))

    def test_a_module_that_is_nowhere_says_where_it_must_be(self) -> None:
        with pytest.raises(ConfigError, match=r"cannot import 'nowhere_at_all'.* must be installed or lie beside the "):
            load({"problem": "nowhere_at_all:Thing"})

    def test_a_problem_handed_over_as_an_object_is_not_looked_up(self) -> None:
        config = load({"problem": "given:Thing"}, problem_given=True)
        assert resolved(config)["problem"] == {"name": "given:Thing"}
        named = load({"problem": "not-installed", "search": {"seed": 3}}, problem_given=True)
        assert resolved(named)["problem"] == {"name": "not-installed"}

    def test_all_code_that_a_config_names_can_be_listed(self) -> None:
        plain = {
            "problem": {"name": "channels", "network": "my.networks:make", "data": "digits", "note": "a: b"},
            "search": {"crossover": "mine:Swap", "repair": [{"name": "legal"}, {"name": "mine:Mend"}], "name": "no:No"},
        }
        assert configs.import_targets(plain) == ["mine:Mend", "mine:Swap", "my.networks:make", "no:No"]
        bounded = {"problem": {"name": "channels", "at_most": {"my.measures:Energy": 3}}}
        assert configs.import_targets(bounded) == ["my.measures:Energy"]
        assert configs.import_targets({"problem": "given:Thing"}) == []

    @pytest.mark.parametrize("name", ["evil:", "evil:a b", "evil:a.b", ":x", "évil:x", "𝒳:名", "evil:x", "a.b:x"])
    def test_whatever_a_plug_in_is_looked_up_by_is_code_to_be_trusted(self, name: str) -> None:
        for plain in (name, {"name": name}):
            assert configs.import_targets({"problem": plain}) == [name]
            assert configs.import_targets({"search": {"repair": ["legal", plain]}}) == [name]

    @pytest.mark.parametrize("text", ["evil:x", "évil:x", "𝒳:名", "_.a1:b"])
    def test_whatever_the_importer_takes_is_code_to_be_trusted_at_any_depth(self, text: str) -> None:
        for deep in ([text], {text: 3}, {"name": text, "rate": 1}, [{"methods": [{"name": {"name": text}}]}]):
            assert configs.import_targets({"problem": {"name": "channels", "option": deep}}) == [text]
            assert configs.import_targets({"elsewhere": deep}) == [text]

    def test_a_text_that_no_importer_takes_is_no_code(self) -> None:
        plain = {"template": "Review: {text}\nIt was {mask_token}", "at": "http://here:8000", "note": "so: this"}
        assert configs.import_targets({"problem": {"name": "prompt-tokens", **plain}}) == []


class TestWhatIsKept:
    def test_the_resolved_config_holds_every_default_and_loads_to_itself(self, tmp_path: Path) -> None:
        plain = resolved(load(written(tmp_path, GOOD), ["search.seed=7"]))
        assert plain["problem"] == {"name": KNAPSACK, "bits": 12, "pause": 0.0, "noise": 0.0}
        assert plain["search"]["crossover"] == {"name": "one-point", "rate": 0.9}
        assert plain["search"]["seed"] == 7
        assert plain["evaluation"]["retries"] == EvaluationSettings().retries
        assert resolved(load(plain)) == plain

    def test_the_text_that_is_kept_is_the_users_own_with_the_overrides_below(self, tmp_path: Path) -> None:
        config = load(written(tmp_path, "# mine\n" + GOOD), ["search.seed=7"])
        text = as_yaml(config)
        assert text.startswith("# mine\n" + GOOD)
        assert text.endswith("# --set 'search.seed=7'\n")
        assert yaml.safe_load(text) == yaml.safe_load(GOOD)

    def test_a_config_without_a_text_is_written_as_yaml_that_loads_to_it(self) -> None:
        config = load({"problem": KNAPSACK, "search": {"seed": 3}})
        assert load(yaml.safe_load(as_yaml(config))) == config

    def test_wrong_options_of_a_config_made_in_python_are_refused_when_it_is_resolved(self) -> None:
        config = Config(problem=configs.Plugin(name=KNAPSACK, bits="few"))  # type: ignore[call-arg]  # options are extra
        with pytest.raises(ConfigError, match=f"problem '{KNAPSACK}': "):
            resolved(config)

    def test_an_example_is_read_without_importing_what_it_uses(self) -> None:
        code = "import sys; from emoprune.config import example_text; print(example_text('digits'))"
        code += "; sys.exit('torch' in sys.modules or 'ray' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert set(yaml.safe_load(done.stdout)) <= set(Config.model_fields)

    def test_an_unknown_example_names_those_there_are(self) -> None:
        with pytest.raises(ConfigError, match="no example is called 'nothing'; `emoprune list examples` names all"):
            configs.example_text("nothing")

    def test_the_schema_for_editors_knows_every_key(self) -> None:
        schema = configs.json_schema()
        assert set(schema["properties"]) == set(Config.model_fields)
        assert set(schema["$defs"]["SearchSettings"]["properties"]) == set(SearchSettings.model_fields)


class TestResuming:
    def test_budget_and_resources_may_change(self) -> None:
        before = resolved(load({"problem": KNAPSACK}))
        overrides = ["search.generations=60", "search.evaluations=5000", "search.time_limit=9", "evaluation.workers=2"]
        check_resume(before, resolved(load(before, overrides)))

    def test_anything_else_is_refused_with_every_difference(self) -> None:
        before = resolved(load({"problem": KNAPSACK}))
        after = resolved(load(before, ["search.seed=9", "problem.bits=14", "search.generations=60"]))
        with pytest.raises(ConfigError, match=r"cannot change:\nproblem.bits: 12 -> 14\nsearch.seed: 1 -> 9\nonly"):
            check_resume(before, after)

    def test_differences_are_named_by_their_path(self) -> None:
        assert changed({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "d": [1], "e": 4}) == [
            ("a.c", 2, 3),
            ("e", None, 4),
        ]

    def test_equal_configs_differ_in_nothing(self) -> None:
        plain = resolved(load({"problem": KNAPSACK}))
        assert changed(plain, plain) == []
