from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from commands_for_tests import Command, Ended, finished_process, prepared
from strangers_for_tests import strangers

from emoprune.commands.catalogue import _asked
from emoprune.config import example_text, load


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run, which tests get copies of."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        prepared(folder, patch)
    assert finished_process(folder, "-m", "emoprune", "run", "knapsack.yaml", "--name", "done").returncode == 0
    return folder / "runs" / "done"


@pytest.fixture
def finished(searched: Path, folder: Path) -> str:
    """Return the name of a finished run."""
    shutil.copytree(searched, folder / "runs" / "done")
    return "done"


class TestHelp:
    def test_help_names_every_command_and_every_exit_code(self, emoprune: Command) -> None:
        shown = emoprune("--help")
        assert shown.code == 0
        commands = (
            "run",
            "resume",
            "status",
            "pareto",
            "export",
            "groups",
            "audit",
            "recover",
            "report",
            "list",
            "init",
        )
        assert all(re.search(rf"^  {command} ", shown.out, re.MULTILINE) for command in commands)
        codes = [int(code) for code in re.findall(r"^    (\d+) ", shown.out, re.MULTILINE)]
        assert codes == [*range(9), 129, 130, 141, 143]

    @pytest.mark.parametrize(
        "command",
        ["run", "resume", "status", "pareto", "export", "report", "list", "init", "groups", "audit", "recover"],
    )
    def test_every_command_explains_itself(self, emoprune: Command, command: str) -> None:
        shown = emoprune(command, "-h")
        assert shown.code == 0
        assert shown.out.startswith(f"Usage: emoprune {command} ")

    def test_the_version_is_that_of_the_package(self, emoprune: Command) -> None:
        from emoprune import __version__

        assert emoprune("--version") == Ended(0, f"emoprune {__version__}\n", "")

    def test_a_mistyped_command_gets_the_nearest_one(self, emoprune: Command) -> None:
        shown = emoprune("rseume")
        assert shown.code == 2
        assert "Did you mean 'resume'?" in shown.err

    @pytest.mark.parametrize(
        ("words", "heavy"),
        [
            (("--help",), ("ray", "torch", "pymoo", "pandas", "plotly", "numpy", "pydantic", "rich")),
            (("status", "done"), ("ray", "torch", "pymoo", "pandas", "plotly")),
            (("pareto", "done"), ("ray", "torch", "pymoo", "plotly")),
            (("report", "done"), ("ray", "torch", "pymoo")),
            (("list",), ("ray", "torch", "pymoo", "pandas", "plotly")),
            (("list", "criteria"), ("ray", "pymoo", "pandas", "plotly")),
            (("groups", "offering.yaml"), ("ray", "torch", "pymoo", "pandas", "plotly")),
            (("export", "done", "knee"), ("ray", "torch", "pymoo", "plotly")),
            # pymoo is what the algorithm is checked against.
            (("run", "knapsack.yaml", "--dry-run"), ("ray", "torch", "pandas", "plotly")),
        ],
    )
    def test_a_command_imports_nothing_heavy_that_it_does_not_need(
        self, finished: str, folder: Path, words: tuple[str, ...], heavy: tuple[str, ...]
    ) -> None:
        (folder / "offering.yaml").write_text("problem: problems_for_tests:OfferingKnapsack12\n")
        code = f"""
import sys
from emoprune.__main__ import main
sys.argv[1:] = {words!r}
try:
    main()
except SystemExit as end:
    loaded = [name for name in {heavy!r} if name in sys.modules]
    sys.exit(f"loaded {{loaded}}, code {{end.code}}" if loaded or end.code else 0)
"""
        done = finished_process(folder, "-c", code)
        assert done.returncode == 0, done.stderr


class TestErrors:
    def test_a_bad_config_ends_with_2_one_paragraph_and_no_run(self, emoprune: Command, folder: Path) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "search.populatoin=3")
        said = "--set search.populatoin=3: unknown key; did you mean 'population'?"
        assert shown == Ended(2, "", f"emoprune: 1 error in knapsack.yaml\n{said}\n")
        assert not (folder / "runs").exists()

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_debug_shows_the_traceback_wherever_it_stands(self, emoprune: Command, place: int) -> None:
        words = ["run", "nowhere.yaml"]
        words.insert(place, "--debug")
        shown = emoprune(*words)
        assert shown.code == 2
        assert shown.err.startswith("Traceback (most recent call last):")
        assert "emoprune: there is no config file 'nowhere.yaml'; did you mean 'knapsack.yaml'?" not in shown.err
        assert "emoprune: there is no config file 'nowhere.yaml'" in shown.err

    def test_a_missing_run_ends_with_3_and_names_those_there_are(self, emoprune: Command, finished: str) -> None:
        for words in (("status", "doen"), ("pareto", "doen"), ("resume", "doen"), ("export", "doen", "1")):
            shown = emoprune(*words)
            assert shown.code == 3
            assert shown.err.startswith("emoprune: no run 'doen': ")
            assert "done" in shown.err

    def test_without_any_run_latest_ends_with_3(self, emoprune: Command) -> None:
        shown = emoprune("status")
        assert shown.code == 3
        assert "there are no runs in runs" in shown.err

    def test_a_damaged_manifest_ends_with_3(self, emoprune: Command, finished: str, folder: Path) -> None:
        (folder / "runs" / finished / "manifest.json").write_text("{")
        assert emoprune("status", finished).code == 3

    def test_a_missing_candidate_or_generation_ends_with_3(self, emoprune: Command, finished: str) -> None:
        assert emoprune("export", finished, "nobody").code == 3
        assert emoprune("pareto", finished, "--generation", "99").code == 3

    @pytest.mark.parametrize("name", ["../out", "/out", "a\\b", "latest", "x" * 65])
    def test_a_run_name_that_is_no_plain_folder_name_ends_with_8(
        self, emoprune: Command, folder: Path, name: str
    ) -> None:
        shown = emoprune("run", "knapsack.yaml", "--name", name)
        assert shown.code == 8
        assert "refused" in shown.err
        assert not (folder.parent / "out").exists()
        words = ("--set", "problem=nowhere:Nothing", "--name", name)
        assert emoprune("run", "knapsack.yaml", *words).code == 8  # before any problem is imported

    def test_a_run_of_that_name_is_not_overwritten(self, emoprune: Command, finished: str) -> None:
        shown = emoprune("run", "knapsack.yaml", "--name", finished)
        assert shown.code == 2
        assert f"emoprune resume {finished}" in shown.err

    def test_a_search_in_which_everything_fails_ends_with_5_and_the_reason(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=bad_problems:Failing", "--name", "lost")
        assert shown.code == 5
        assert "RuntimeError: no scale" in shown.err
        assert "begin a new run" in shown.err
        assert "emoprune resume" not in shown.err

    def test_a_plug_in_that_breaks_its_promise_ends_with_1_and_is_named(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=bad_problems:Wordless")
        assert shown.code == 1
        assert "Wordless.describe of reference 'unpruned'" in shown.err
        assert "Traceback" not in shown.err

    def test_a_plug_in_that_breaks_its_promise_once_it_is_prepared_can_be_mended_and_resumed(
        self, emoprune: Command
    ) -> None:
        words = ("--set", "problem=bad_problems:Misnamed", "--name", "mendable")
        shown = emoprune("run", "knapsack.yaml", *words)
        assert shown.code == 1
        said, error = shown.err.splitlines()
        kept = "nothing was evaluated yet; once that is mended, "
        assert said == f"{kept}continue with: emoprune resume mendable"
        assert error == "emoprune: Misnamed: two references share a name"

    def test_a_resume_that_cannot_succeed_is_not_offered(self, emoprune: Command, finished: str) -> None:
        words = ("--set", "problem={name: 'bad_problems:Slow', misfit: true}", "--set", "search.warm_start=[done]")
        shown = emoprune("run", "knapsack.yaml", *words, "--name", "misfit")
        assert (shown.code, shown.err.count("\n")) == (2, 1)
        assert "run done searched another space" in shown.err

    def test_a_function_in_the_place_of_a_problem_is_pointed_at(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=json:dumps")
        assert shown.code == 2
        assert "'json:dumps' is a function; is it meant to make a problem?" in shown.err

    def test_an_unforeseen_error_ends_with_1_and_says_how_to_see_more(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=bad_problems:Broken")
        assert shown.code == 1
        assert shown.err.startswith("emoprune: internal error: RuntimeError: half made\n")
        assert "--debug" in shown.err
        assert "Traceback" not in shown.err

    def test_a_contradiction_of_short_options_is_refused_like_one_in_the_file(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--address", "auto: 1")
        assert shown.code == 2
        assert "evaluation.address" in shown.err
        assert "the serial backend stays in this process" in shown.err

    def test_an_error_cannot_steer_the_terminal(self, emoprune: Command, folder: Path) -> None:
        (folder / "sly.yaml").write_text('problem: x\n"\\e[31msearch\\u202e": {}\n')
        shown = emoprune("run", "sly.yaml")
        assert shown.code == 2
        assert "\x1b" not in shown.err
        assert "\u202e" not in shown.err

    def test_a_full_disk_behind_standard_output_ends_with_7(self, folder: Path) -> None:
        with Path("/dev/full").open("w") as full:
            done = finished_process(folder, "-m", "emoprune", "list", stdout=full.fileno())
        assert done.returncode == 7
        assert done.stderr.startswith("emoprune: the disk failed: ")
        assert "Traceback" not in done.stderr


class TestRunning:
    def test_a_run_ends_with_the_front_beside_the_unpruned_its_folder_and_what_to_do_next(
        self, emoprune: Command
    ) -> None:
        shown = emoprune("run", "knapsack.yaml", "--name", "mine")
        assert shown.code == 0
        assert "Front of mine" in shown.out
        assert "unpruned" in shown.out
        assert shown.out.endswith(
            "run      runs/mine\nreport   emoprune report mine\nexport   emoprune export mine knee\n"
        )
        assert len([line for line in shown.err.splitlines() if line.startswith("generation ")]) == 3

    def test_a_run_names_no_absolute_path_whatever_the_command_named(self, emoprune: Command, folder: Path) -> None:
        words = (str(folder / "knapsack.yaml"), f"--runs={folder / 'elsewhere'}", "--name", "mine")
        assert emoprune("run", *words).code == 0
        run = folder / "elsewhere" / "mine"
        command = json.loads((run / "manifest.json").read_text())["environment"]["command"]
        assert command == ["emoprune", "run", "knapsack.yaml", "--runs=elsewhere", "--name", "mine"]
        for file in run.rglob("*"):
            assert not file.is_file() or str(folder).encode() not in file.read_bytes(), file

    def test_json_is_one_event_per_generation_and_one_at_the_end(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--name", "mine", "--json")
        events = [json.loads(line) for line in shown.out.splitlines()]
        assert {event["schema"] for event in events} == {"emoprune.event/1"}
        assert [event["event"] for event in events] == ["generation"] * 3 + ["end"]
        assert [event["generation"] for event in events[:-1]] == [0, 1, 2]
        end = events[-1]
        assert (end["run"], end["path"], end["state"]) == ("mine", "runs/mine", "finished")
        assert {row["name"] for row in end["rows"]} >= {"unpruned", "uniform", "lightest"}

    def test_a_search_without_a_feasible_candidate_says_so_and_suggests_no_export(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=bad_problems:Forbidden", "--name", "none")
        assert shown.code == 0
        assert "No candidate is on the front: none that could be measured keeps every constraint." in shown.out
        assert "emoprune report none" in shown.out
        assert "emoprune export" not in shown.out

    def test_a_dry_run_shows_the_plan_and_writes_nothing(self, emoprune: Command, folder: Path) -> None:
        before = sorted(folder.iterdir())
        shown = emoprune("run", "knapsack.yaml", "--dry-run", "--json")
        plan = json.loads(shown.out)
        assert (plan["genes"], plan["genomes"], plan["evaluations"], plan["workers"]) == (12, "4,096", 36, 1)
        assert plan["objectives"] == ["loss (minimise)", "weight (minimise)"]
        assert plan["config"]["problem"]["noise"] == 0.0
        assert sorted(path for path in folder.iterdir() if path.name != "__pycache__") == before
        assert "genomes" in emoprune("run", "knapsack.yaml", "--dry-run").out

    def test_a_dry_run_finds_what_would_fail(self, emoprune: Command) -> None:
        shown = emoprune("run", "knapsack.yaml", "--set", "problem=bad_problems:Failing", "--dry-run")
        assert shown.code == 5
        assert "the unpruned genome cannot be measured: RuntimeError: no scale" in shown.err

    def test_a_dry_run_counts_references_and_starts_that_exceed_the_population(
        self, emoprune: Command, finished: str
    ) -> None:
        words = ("--set", "search.population=4", "--set", "search.warm_start=[done]", "--dry-run", "--json")
        plan = json.loads(emoprune("run", "knapsack.yaml", *words).out)
        words = ("--set", "search.population=4", "--set", "search.warm_start=[done]", "--json")
        end = json.loads(emoprune("run", "knapsack.yaml", *words).out.splitlines()[-1])
        assert plan["evaluations"] == end["evaluated"] > 12

    @pytest.mark.parametrize(("budget", "evaluations"), [(12, 12), (13, 24), (36, 36), (99, 36)])
    def test_a_dry_run_ends_with_the_generation_in_which_the_budget_is_spent(
        self, emoprune: Command, budget: int, evaluations: int
    ) -> None:
        words = ("--set", f"search.evaluations={budget}", "--json")
        assert json.loads(emoprune("run", "knapsack.yaml", *words, "--dry-run").out)["evaluations"] == evaluations
        assert json.loads(emoprune("run", "knapsack.yaml", *words).out.splitlines()[-1])["evaluated"] == evaluations

    def test_a_space_that_is_nearly_exhausted_is_said_line_by_line(self, emoprune: Command) -> None:
        words = ("--set", "problem.bits=5", "--set", "search.generations=9")
        shown = emoprune("run", "knapsack.yaml", *words)
        lines = [line for line in shown.err.splitlines() if line.startswith("generation ")]
        assert len(lines) == 3
        assert lines[-1].endswith("left: about 0 s  nearly exhausted: 8 new genomes were found instead of 12")
        assert "every genome has been evaluated: the space is exhausted" in shown.out

    def test_a_torn_line_is_said_before_the_search_goes_on(
        self, emoprune: Command, finished: str, folder: Path
    ) -> None:
        with (folder / "runs" / finished / "history.jsonl").open("a") as history:
            history.write('{"candidate": 3')
        shown = emoprune("resume", finished, "--set", "search.generations=4")
        assert shown.err.splitlines()[0] == (
            "warning: run done: history.jsonl: the last line was unfinished (15 bytes); it was moved to "
            "history.jsonl.torn"
        )
        assert shown.err.splitlines()[1].startswith("generation 3 ")
        assert shown.err.count("warning") == 1

    def test_a_resumed_run_goes_on_to_its_new_end(self, emoprune: Command, finished: str) -> None:
        assert emoprune("resume", finished, "--set", "search.generations=5").code == 0
        assert json.loads(emoprune("status", "--json").out)["generations"] == 5

    def test_a_resumed_run_keeps_its_search(self, emoprune: Command, finished: str) -> None:
        shown = emoprune("resume", "latest", "--set", "search.seed=9")
        assert shown.code == 2
        assert "search.seed: 1 -> 9" in shown.err

    def test_runs_may_lie_elsewhere(self, emoprune: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert emoprune("run", "knapsack.yaml", "--runs", "deep/er", "--name", "far").code == 0
        assert (folder / "deep" / "er" / "far" / "history.jsonl").exists()
        assert emoprune("status", "deep/er/far").code == 0
        monkeypatch.setenv("EMOPRUNE_RUNS", "deep/er")
        assert json.loads(emoprune("status", "far", "--json").out)["path"] == "deep/er/far"


class TestLooking:
    def test_status_says_where_a_run_stands(self, emoprune: Command, finished: str) -> None:
        shown = emoprune("status", finished)
        assert shown.code == 0
        assert "finished" in shown.out
        plain = json.loads(emoprune("status", finished, "--json").out)
        assert (plain["schema"], plain["run"], plain["state"]) == ("emoprune.status/1", finished, "finished")
        assert plain["evaluated"] == 36

    def test_the_front_comes_as_table_json_and_csv_with_the_same_candidates(
        self, emoprune: Command, finished: str
    ) -> None:
        table = emoprune("pareto", finished).out
        plain = json.loads(emoprune("pareto", finished, "--json").out)
        rows = list(csv.DictReader(emoprune("pareto", finished, "--csv").out.splitlines()))
        ids = [row["candidate_id"] for row in plain["rows"]]
        assert plain["schema"] == "emoprune.pareto/1"
        assert [objective["name"] for objective in plain["objectives"]] == ["loss", "weight"]
        assert [int(row["candidate_id"]) for row in rows] == ids
        on_front = [row["candidate_id"] for row in plain["rows"] if row["rank"] == 1]
        assert all(re.search(rf"^ *{number} ", table, re.MULTILINE) for number in on_front)

    def test_what_was_not_measured_is_null_in_json(self, emoprune: Command, finished: str) -> None:
        rows = json.loads(emoprune("pareto", finished, "--generation", "0", "--json").out)["rows"]
        assert all(row["test.loss"] is None for row in rows)
        assert all(row["generation"] == 0 for row in rows)

    def test_wide_tells_what_each_candidate_keeps(self, emoprune: Command, finished: str) -> None:
        rows = json.loads(emoprune("pareto", finished, "--wide", "--json").out)["rows"]
        assert next(row for row in rows if row["name"] == "unpruned")["keeps.items"] == 12
        assert re.search(r"^candidate 0\n  items +12\n", emoprune("pareto", finished, "--wide").out, re.MULTILINE)

    def test_two_formats_at_once_are_refused(self, emoprune: Command, finished: str) -> None:
        shown = emoprune("pareto", finished, "--json", "--csv")
        assert shown.code == 2
        assert "expected --json or --csv, found both" in shown.err

    def test_export_writes_the_pruned_thing_and_says_what_was_verified(
        self, emoprune: Command, finished: str, folder: Path
    ) -> None:
        plain = json.loads(emoprune("export", finished, "lightest", "--json").out)
        assert plain["schema"] == "emoprune.export/1"
        kept = json.loads((folder / plain["path"] / "knapsack.json").read_text())["items"]
        assert sum(kept.values()) == plain["verified"]["weight"]
        assert f"weight  {plain['verified']['weight']}" in emoprune("export", finished, "lightest").out

    def test_code_of_a_run_from_elsewhere_is_not_imported_unasked(
        self, emoprune: Command, finished: str, folder: Path
    ) -> None:
        strangers(folder / "runs" / finished)
        for words in (("export", finished, "knee"), ("resume", finished)):
            shown = emoprune(*words)
            assert shown.code == 8
            assert "problems_for_tests:Knapsack12" in shown.err
        assert emoprune("export", finished, "knee", "--trust-code").code == 0

    def test_report_writes_one_page_and_prints_its_path(self, emoprune: Command, finished: str, folder: Path) -> None:
        shown = emoprune("report", finished)
        assert shown == Ended(0, f"runs/{finished}/report.html\n", "")
        assert "<html" in (folder / shown.out.strip()).read_text()


class TestListing:
    def test_everything_is_listed_by_name(self, emoprune: Command, finished: str) -> None:
        plain = json.loads(emoprune("list", "--json").out)
        assert plain["schema"] == "emoprune.list/1"
        assert "channels" in plain["problems"]
        assert plain["operators"]["crossover"] == ["mask-intersection", "one-point", "two-point", "uniform"]
        assert "digits" in plain["examples"]
        assert plain["runs"] == [finished]
        assert "mask-intersection, one-point, two-point, uniform" in emoprune("list").out

    def test_operators_are_listed_with_what_they_do_and_take(self, emoprune: Command) -> None:
        operators = json.loads(emoprune("list", "operators", "--json").out)["operators"]
        assert operators["crossover"]["uniform"]["does"]
        assert operators["crossover"]["uniform"]["options"]["rate"].startswith("a number; 0.9 by default")
        assert operators["repair"]["cost-bound"]["options"]["share"].startswith("a number; required")

    def test_a_problem_is_listed_with_what_its_audit_and_recovery_take(self) -> None:
        listed = _asked("problems_for_tests:OfferingKnapsack12")
        assert listed["options of emoprune audit"]["confidence"].endswith("0.95 by default")
        assert set(listed["options of emoprune recover"]) == {"epochs", "heaviest"}
        assert _asked("problems_for_tests:Knapsack12") == {}

    @pytest.mark.slow
    def test_every_option_of_a_network_problem_is_listed_with_its_meaning(self, emoprune: Command) -> None:
        problems = json.loads(emoprune("list", "problems", "--json").out)["problems"]
        for name in ("channels", "weight-ratios", "bit-widths"):
            own = problems[name]
            silent = [
                option
                for title, options in own.items()
                if title.startswith("options")
                for option, said in options.items()
                if said.endswith((" by default", "required"))
            ]
            assert silent == []
        assert '["error", "macs"] by default; What is minimised' in problems["channels"]["options"]["objectives"]

    def test_examples_are_listed_with_the_command_that_runs_them(self, emoprune: Command) -> None:
        assert (
            json.loads(emoprune("list", "examples", "--json").out)["examples"]["digits"]["try"] == "emoprune run digits"
        )

    def test_runs_are_listed_with_their_state_even_beside_a_damaged_one(
        self, emoprune: Command, finished: str, folder: Path
    ) -> None:
        damaged = folder / "runs" / "damaged"
        damaged.mkdir()
        (damaged / "manifest.json").write_text("{")
        runs = json.loads(emoprune("list", "runs", "--json").out)["runs"]
        assert runs[finished]["state"] == "finished"
        assert "manifest.json" in runs["damaged"]["unusable"]


class TestInit:
    def test_init_writes_the_example_which_is_a_good_config(self, emoprune: Command, folder: Path) -> None:
        shown = emoprune("init", "digits")
        assert (shown.code, shown.out) == (0, "digits.yaml\nrun it with: emoprune run digits.yaml\n")
        path = folder / "digits.yaml"
        assert path.read_text() == example_text("digits")
        assert load(path) == load("digits")

    def test_init_replaces_a_file_only_when_forced(self, emoprune: Command, folder: Path) -> None:
        (folder / "mine.yaml").write_text("mine")
        shown = emoprune("init", "digits", "--output", "mine.yaml")
        assert shown.code == 2
        assert "mine.yaml exists" in shown.err
        assert (folder / "mine.yaml").read_text() == "mine"
        assert emoprune("init", "digits", "--output", "mine.yaml", "--force").code == 0
        assert (folder / "mine.yaml").read_text() == example_text("digits")

    def test_init_of_an_unknown_example_names_the_nearest(self, emoprune: Command) -> None:
        shown = emoprune("init", "digit")
        assert shown.code == 2
        assert "did you mean 'digits'?" in shown.err
