"""What a problem offers besides, through the real command line."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands_for_tests import Command, Ended, begun, ended, finished_process, prepared, wait_for
from problems_for_tests import OfferingKnapsack12
from strangers_for_tests import strangers

from emoprune.commands.export import export
from emoprune.errors import ContractError, RunCorrupt
from emoprune.run import Run
from emoprune.run.exports import read_export
from emoprune.run.locks import alone
from emoprune.run.recorder import Recorder
from emoprune.storage import fingerprint, read_lines, write_sealed

OFFERING = "problem.name=problems_for_tests:OfferingKnapsack12"
COMMANDS = (("export", "done", "1"), ("audit", "done"), ("recover", "done", "1"))
SLOW = """\
import time
from problems_for_tests import OfferingKnapsack12

class Slow(OfferingKnapsack12):
    def recover(self, genome, folder, seed):
        (folder / "half").touch()
        time.sleep(60)
"""


class OneAtATime(OfferingKnapsack12):
    """A knapsack whose formats cannot lie in one folder, or one that chooses as it is told."""

    def __init__(self, chosen: Sequence[str] | None = None) -> None:
        super().__init__()
        self._chosen = chosen

    def formats_to_write(self, asked: Sequence[str], there: Sequence[str]) -> Sequence[str]:
        assert set(there) <= set(self.formats)
        return (asked or self.formats[:1]) if self._chosen is None else self._chosen


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two finished runs: `done` offers everything, `plain` nothing."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        prepared(folder, patch)
    for name, more in (("done", ("--set", OFFERING)), ("plain", ())):
        words = ("-m", "emoprune", "run", "knapsack.yaml", "--name", name, *more)
        assert finished_process(folder, *words).returncode == 0
    return folder / "runs"


@pytest.fixture
def runs(searched: Path, folder: Path) -> Path:
    shutil.copytree(searched, folder / "runs")
    return folder / "runs"


class TestGroups:
    def test_an_inspection_is_shown_before_any_search(self, emoprune: Command, folder: Path) -> None:
        shown = emoprune("groups", "knapsack.yaml", "--set", OFFERING)
        assert (shown.code, shown.err) == (0, "")
        assert re.search(r"^largest weight +212 *$", shown.out, re.MULTILINE)
        assert re.search(r"^can be empty +yes *$", shown.out, re.MULTILINE)
        assert re.search(r"^items *\nitem +weight +locked to *\nitem0 +28 +- *$", shown.out, re.MULTILINE)
        assert shown.out.rstrip().endswith("Nothing is locked: every item can be left out.")
        assert not (folder / "runs").exists()

    def test_an_inspection_is_plain_data_for_scripts(self, emoprune: Command) -> None:
        found = json.loads(emoprune("groups", "knapsack.yaml", "--set", OFFERING, "--json").out)
        assert (found["schema"], found["problem"]) == ("emoprune.groups/1", OFFERING.partition("=")[2])
        assert found["summary"]["items"] == len(found["tables"]["items"]) == 12
        assert found["tables"]["items"][0] == {"item": "item0", "weight": 28, "locked to": None}

    def test_a_problem_without_an_inspection_ends_with_2(self, emoprune: Command) -> None:
        shown = emoprune("groups", "knapsack.yaml")
        assert (shown.code, shown.out) == (2, "")
        assert shown.err.startswith("emoprune: Knapsack12 offers no inspection: it has no member 'inspect'; ")
        assert shown.err.count("\n") == 1

    def test_a_config_is_checked_as_for_a_run(self, emoprune: Command) -> None:
        words = ("knapsack.yaml", "--set", "problem.bist=3", "--set", "search.populatoin=1")
        assert emoprune("groups", *words) == emoprune("run", *words)
        assert emoprune("groups", "nowhere.yaml").code == 2
        shown = emoprune("groups", "knapsack.yaml", "--set", OFFERING, "--set", "problem.bits=1")
        assert shown.code == 2
        assert "expected bits of at least 2" in shown.err


class TestAudit:
    def test_findings_are_shown_with_their_interval_and_written_to_the_run(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        shown = emoprune("audit", "done", "--candidates", "4", "--set", "resamples=50")
        assert (shown.code, shown.err) == (0, "")
        assert re.match(r"(ok|ALARM) +The order on search ", shown.out)
        assert re.search(r"^ +kendall-tau [-\d.]+ \[[-\d.]+, [-\d.]+\] *$", shown.out, re.MULTILINE)
        assert "Audited candidates: " in shown.out
        assert shown.out.endswith("\nwritten to runs/done/audit.json\n")
        written = json.loads((runs / "done" / "audit.json").read_text())
        assert (written["schema"], len(written["candidates"])) == ("emoprune.audit/1", 4)
        assert written["options"] == {"resamples": 50, "confidence": 0.95}

    def test_an_audit_is_plain_data_for_scripts(self, emoprune: Command, runs: Path) -> None:
        found = json.loads(emoprune("audit", "done", "--json").out)
        written = json.loads((runs / "done" / "audit.json").read_text())
        del written["checksum"]
        assert found == {**written, "run": "done", "path": "runs/done/audit.json"}

    def test_an_alarm_is_marked(self, emoprune: Command, runs: Path) -> None:
        # So many resamples of three candidates that some hold one candidate alone, which orders nothing.
        words = ("audit", "done", "--candidates", "3", "--set", "confidence=0.999")
        assert emoprune(*words).out.startswith("ALARM ")
        assert json.loads(emoprune(*words, "--json").out)["alarms"] == 1

    def test_an_option_that_the_problem_does_not_have_is_refused(self, emoprune: Command, runs: Path) -> None:
        shown = emoprune("audit", "done", "--epochs", "3", "--set", "resample=9")
        assert shown.code == 2
        assert shown.err == (
            "emoprune: 2 errors in the options of audit\n"
            "--set resample=9: unknown option of audit; did you mean 'resamples'?\n"
            "--set epochs=3: unknown option of audit (there are: resamples, confidence)\n"
        )
        assert not (runs / "done" / "audit.json").exists()

    def test_too_few_candidates_are_wrong_usage(self, emoprune: Command, runs: Path) -> None:
        assert emoprune("audit", "done", "--candidates", "2").code == 2

    def test_the_page_shows_the_audit(self, emoprune: Command, runs: Path) -> None:
        emoprune("audit", "done")
        assert json.loads(emoprune("report", "done", "--json").out) == {
            "schema": "emoprune.report/1",
            "run": "done",
            "path": "runs/done/report.html",
        }
        assert 'id="audit-heading"' in (runs / "done" / "report.html").read_text()


class TestRecover:
    def test_the_values_after_stand_beside_those_before(self, emoprune: Command, runs: Path) -> None:
        shown = emoprune("recover", "done", "lightest", "--epochs", "2")
        assert (shown.code, shown.err) == (0, "")
        (line,) = read_lines(runs / "done" / "recovered.jsonl")
        assert line["options"] == {"epochs": 2, "heaviest": 30}
        before, after = line["before"]["test"]["weight"], line["after"]["test"]["weight"]
        row = rf"^test +weight \(g\) +{before:.0f} +{after:.0f} +\+\d+\.?\d*% *$"
        assert re.search(row, shown.out, re.MULTILINE)
        assert shown.out.endswith(f"\nwritten to runs/done/recovered/{line['candidate']}\n")

    def test_a_recovery_is_plain_data_for_scripts(self, emoprune: Command, runs: Path) -> None:
        found = json.loads(emoprune("recover", "done", "0", "--set", "heaviest=5", "--json").out)
        (line,) = read_lines(runs / "done" / "recovered.jsonl")
        path = "runs/done/recovered/0"
        assert found == {"schema": "emoprune.recover/1", "run": "done", "path": path, **line}

    @pytest.mark.parametrize(
        ("words", "complaint"),
        [
            (("--epochs", "0"), "--set epochs=0: expected an integer >= 1, found 0"),
            (("--set", "epochs=two"), "--set epochs=two: expected an integer >= 1, found 'two'"),
            (("--set", "epochs='2'"), "--set epochs='2': expected an integer >= 1, found '2'; remove the quotes"),
            (("--set", "epochs"), "--set epochs: expected KEY=VALUE, for instance epochs=3"),
        ],
    )
    def test_an_option_of_the_wrong_kind_is_refused(
        self, emoprune: Command, runs: Path, words: tuple[str, ...], complaint: str
    ) -> None:
        shown = emoprune("recover", "done", "knee", *words)
        assert shown == Ended(2, "", f"emoprune: 1 error in the options of recover\n{complaint}\n")
        assert not (runs / "done" / "recovered").exists()

    def test_an_interrupted_recovery_ends_with_130_and_leaves_nothing(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        (folder / "slow.py").write_text(SLOW)
        assert emoprune("run", "knapsack.yaml", "--set", "problem.name=slow:Slow", "--name", "slow").code == 0
        process = begun(folder, "recover", "slow", "knee")
        recovered = runs / "slow" / "recovered"
        wait_for(lambda: bool(list(recovered.glob(".*.partial/half"))), process)
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 130
        assert list(recovered.iterdir()) == []


class TestExport:
    def test_formats_are_written_in_the_problems_order(self, emoprune: Command, runs: Path, folder: Path) -> None:
        words = ("export", "done", "knee", "--json", "--format", "csv", "--format", "json", "--format", "csv")
        found = json.loads(emoprune(*words).out)
        assert list(found["verified"]) == ["json.file", "json.weight", "csv.file", "csv.weight"]
        assert {path.name for path in (folder / found["path"]).iterdir()} == {
            "knapsack.json",
            "knapsack.csv",
            "export.json",
        }

    def test_the_first_format_is_what_is_written_unless_others_are_asked_for(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        for words, candidate, written in (((), "knee", "knapsack.json"), (("--format", "csv"), "0", "knapsack.csv")):
            found = json.loads(emoprune("export", "done", candidate, "--json", *words).out)
            assert {path.name for path in (folder / found["path"]).iterdir()} == {written, "export.json"}

    def test_a_later_export_keeps_the_formats_that_were_there(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        emoprune("export", "done", "knee", "--format", "csv")
        shown = emoprune("export", "done", "knee", "--format", "json", "--json")
        found = json.loads(shown.out)
        assert list(found["verified"]) == ["json.file", "json.weight", "csv.file", "csv.weight"]
        exported = folder / found["path"]
        assert {path.name for path in exported.iterdir()} == {"knapsack.json", "knapsack.csv", "export.json"}
        record = json.loads((exported / "export.json").read_text())
        assert (record["schema"], record["run"]) == ("emoprune.exported/2", "done")
        assert (record["candidate"], record["formats"]) == (int(exported.name), ["json", "csv"])
        assert record["verified"] is True
        assert shown.err == ""

    def test_a_later_export_that_is_not_verified_says_what_no_longer_is(
        self, emoprune: Command, runs: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        emoprune("export", "done", "knee", "--format", "csv")
        assert caplog.text == ""
        emoprune("export", "done", "knee", "--format", "json", "--no-verify")
        assert "export: csv, verified before, is written again without being verified" in caplog.text
        (record,) = (runs / "done" / "exports").glob("*/export.json")
        assert json.loads(record.read_text())["verified"] is False

    def test_formats_that_cannot_lie_in_one_folder_replace_each_other_and_that_is_said(
        self, runs: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for formats in (["csv"], ["json"], []):
            folder, _ = export(Run(runs / "done"), "knee", formats=formats, problem=OneAtATime())
        assert caplog.text.count("export: csv, exported before, is replaced: not all of these can lie in one fold") == 1
        assert {path.name for path in folder.iterdir()} == {"knapsack.json", "export.json"}

    @pytest.mark.parametrize("chosen", [(), ("csv", "onnx"), ("json",)])
    def test_a_choice_of_formats_that_the_problem_does_not_have_or_that_leaves_one_out_is_no_choice(
        self, runs: Path, chosen: tuple[str, ...]
    ) -> None:
        problem = OneAtATime(chosen)
        with pytest.raises(ContractError, match=r"OneAtATime\.formats_to_write: expected some of json, csv with all"):
            export(Run(runs / "done"), "knee", formats=["csv"], problem=problem)
        assert not list((runs / "done" / "exports").glob("*"))

    @pytest.mark.parametrize("damage", ["", "[]", "{}", '{"formats": 3, "verified": true}'])
    def test_a_folder_whose_record_cannot_be_read_is_replaced_and_that_is_said(
        self, emoprune: Command, runs: Path, folder: Path, damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = json.loads(emoprune("export", "done", "knee", "--format", "csv", "--json").out)
        (folder / found["path"] / "export.json").write_text(damage)
        emoprune("export", "done", "knee")
        assert "it is replaced now, and what was exported before may not be" in caplog.text
        assert {path.name for path in (folder / found["path"]).iterdir()} == {"knapsack.json", "export.json"}

    def test_a_record_that_was_altered_is_named_by_the_doctor_and_left_out_of_a_repaired_copy(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        found = json.loads(emoprune("export", "done", "knee", "--no-verify", "--json").out)
        record = folder / found["path"] / "export.json"
        record.write_text(record.read_text().replace('"verified": false', '"verified": true'))
        said = emoprune("doctor", "done")
        assert said.code == 3
        assert "export.json: checksum: it does not fit the content" in " ".join(said.out.split())
        assert emoprune("doctor", "done", "--repair").code == 0
        assert emoprune("doctor", "done-repaired").code == 0
        assert not (runs / "done-repaired" / "exports" / record.parent.name / "export.json").exists()
        assert emoprune("export", "done", "knee").code == 0
        assert emoprune("doctor", "done").code == 0

    def test_a_record_of_another_candidate_is_named(self, runs: Path) -> None:
        run = Run(runs / "done")
        folder, _ = export(run, "0")
        moved = folder.rename(folder.with_name("7"))
        with pytest.raises(RunCorrupt, match=r"export\.json: candidate: expected 7, found 0; export it again"):
            read_export(moved)

    def test_an_older_record_without_a_checksum_is_read_and_said_to_be_unprotected(
        self, emoprune: Command, runs: Path, folder: Path
    ) -> None:
        found = json.loads(emoprune("export", "done", "knee", "--format", "csv", "--json").out)
        record = folder / found["path"] / "export.json"
        plain = json.loads(record.read_text())
        del plain["checksum"]
        record.write_text(json.dumps(plain))
        assert emoprune("doctor", "done").code == 3
        record.write_text(json.dumps({**plain, "schema": "emoprune.exported/1"}))
        said = emoprune("doctor", "done")
        assert said.code == 0
        assert "an earlier version wrote what they hold down, without a checksum" in " ".join(said.out.split())
        emoprune("export", "done", "knee", "--format", "json")
        assert {"knapsack.json", "knapsack.csv"} <= {path.name for path in record.parent.iterdir()}

    def test_what_was_not_verified_is_not_called_so(self, emoprune: Command, runs: Path) -> None:
        found = json.loads(emoprune("export", "done", "knee", "--no-verify", "--json").out)
        assert "verified" not in found
        assert found["not_verified"] == {"files": 1}

    def test_an_unknown_format_is_refused_with_those_there_are(self, emoprune: Command, runs: Path) -> None:
        shown = emoprune("export", "done", "knee", "--format", "json", "--format", "onnx")
        said = "emoprune: OfferingKnapsack12 has no format 'onnx'; expected some of json, csv\n"
        assert shown == Ended(2, "", said)
        assert not (runs / "done" / "exports").exists()

    @pytest.mark.parametrize("words", [("--format", "json"), ("--no-verify",)])
    def test_a_problem_without_formats_takes_none(self, emoprune: Command, runs: Path, words: tuple[str, ...]) -> None:
        shown = emoprune("export", "plain", "knee", *words)
        said = f"emoprune: Knapsack12 writes one format and always verifies it; leave {' '.join(words)} out\n"
        assert shown == Ended(2, "", said)
        assert emoprune("export", "plain", "knee").code == 0

    def test_a_problem_with_no_format_at_all_breaks_its_promise(self, runs: Path) -> None:
        problem = OfferingKnapsack12()
        problem.formats = ()  # type: ignore[assignment]  # the point
        with pytest.raises(ContractError, match=r"Knapsack12\.formats: expected at least one format, found none"):
            export(Run(runs / "done"), "knee", problem=problem)


class TestMistakes:
    @pytest.mark.parametrize("words", [("audit", "plain"), ("recover", "plain", "knee")])
    def test_a_problem_that_does_not_offer_it_ends_with_2(
        self, emoprune: Command, runs: Path, words: tuple[str, ...]
    ) -> None:
        shown = emoprune(*words)
        assert (shown.code, shown.out) == (2, "")
        assert re.match(rf"emoprune: Knapsack12 offers no \w+: it has no member '{words[0]}'; ", shown.err)

    @pytest.mark.parametrize("words", COMMANDS)
    def test_a_missing_run_ends_with_3(self, emoprune: Command, runs: Path, words: tuple[str, ...]) -> None:
        shown = emoprune(words[0], "doen", *words[2:])
        assert shown.code == 3
        assert shown.err.startswith("emoprune: no run 'doen': ")

    def test_a_missing_candidate_ends_with_3(self, emoprune: Command, runs: Path) -> None:
        shown = emoprune("recover", "done", "neek")
        assert shown.code == 3
        assert "run done has no candidate 'neek'" in shown.err

    @pytest.mark.parametrize("words", COMMANDS)
    def test_code_of_a_run_from_elsewhere_is_not_imported_unasked(
        self, emoprune: Command, runs: Path, words: tuple[str, ...]
    ) -> None:
        strangers(runs / "done")
        shown = emoprune(*words)
        assert shown.code == 8
        assert "problems_for_tests:OfferingKnapsack12" in shown.err
        assert emoprune(*words, "--trust-code").code == 0

    @pytest.mark.parametrize("words", COMMANDS)
    def test_a_run_given_its_problem_as_an_object_says_how_to_go_on_in_python(
        self, emoprune: Command, runs: Path, words: tuple[str, ...]
    ) -> None:
        run = Run(runs / "done")
        given = {**run.config, "problem": {"name": "given:OfferingKnapsack12"}}
        write_sealed(run.path / "manifest.json", {**run.manifest, "configs": [fingerprint(given)]})
        (run.path / "config.resolved.json").write_text(json.dumps(given))
        shown = emoprune(*words)
        assert shown.code == 2
        told = rf"given its problem as an object; {words[0]} from Python: emoprune\.commands\.\w+\.{words[0]}\(run"
        assert re.search(told, shown.err)

    @pytest.mark.parametrize(
        ("words", "work"), [(COMMANDS[0], "export-1"), (COMMANDS[1], "audit"), (COMMANDS[2], "recover-1")]
    )
    def test_the_same_work_at_once_ends_with_4_and_a_run_that_is_written_does_not(
        self, emoprune: Command, runs: Path, words: tuple[str, ...], work: str
    ) -> None:
        with alone(runs / "done", work):
            shown = emoprune(*words)
        assert shown.code == 4
        assert f"another process is at {work} already" in shown.err
        with Recorder(runs / "done"):
            assert emoprune(*words).code == 0

    def test_everything_that_lies_in_a_run_afterwards_is_described(self, emoprune: Command, runs: Path) -> None:
        for words in (*COMMANDS, ("report", "done")):
            assert emoprune(*words).code == 0
        page = (Path(__file__).parents[2] / "docs" / "run-folder.md").read_text()
        left = [entry.name for entry in (runs / "done").iterdir()]
        assert {"audit.json", "audit", "recovered", "recovered.jsonl", "exports", ".locks"} <= set(left)
        assert [name for name in left if not re.search(rf"[ `]{re.escape(name)}[ /`]", page)] == []


class TestCriteria:
    def test_criteria_are_listed_with_their_leaf_and_every_leaf_with_its_criteria_or_the_reason(
        self, emoprune: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "stranger_criteria.py").write_text(
            "class Size:\n    '''Keeps the largest.'''\n    leaf = 'test: magnitude'\n"
            "    def __init__(self, power: int = 1) -> None: ...\n"
            "class Leafless:\n    '''Says nothing.'''\n"
            "LEAVES = {'test: magnitude': '', 'test: hessian': 'needs a week', 'test: gradient': ''}\n"
            "class Wrong:\n    LEAVES = 7\n"
        )
        info = folder / "stranger-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            "[emoprune.criteria]\ntest-size = stranger_criteria:Size\ntest-leafless = stranger_criteria:Leafless\n"
            "test-gone = stranger_criteria:Gone\n"
            "[emoprune.taxonomies]\ntest-survey = stranger_criteria\ntest-wrong = stranger_criteria:Wrong\n"
        )
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setitem(sys.modules, "stranger_criteria", None)
        monkeypatch.delitem(sys.modules, "stranger_criteria")
        found = json.loads(emoprune("list", "criteria", "--json").out)
        assert found["criteria"]["test-size"] == {
            "does": "Keeps the largest.",
            "options": {"power": "an integer; 1 by default"},
            "leaf": "test: magnitude",
        }
        assert found["criteria"]["test-leafless"] == {"does": "Says nothing.", "leaf": None}
        assert "cannot be imported" in found["criteria"]["test-gone"]["unusable"]
        assert found["leaves"]["test: magnitude"] == ["test-size"]
        assert found["leaves"]["test: hessian"] == "not covered: needs a week"
        assert found["leaves"]["test: gradient"] == "not covered: no installed criterion"
        assert "expected LEAVES, a mapping of leaves to reasons, found 7" in found["unusable"]["test-wrong"]
        shown = emoprune("list", "criteria").out
        assert shown.index("test-size") < shown.index("leaves") < shown.index("not covered: needs a week")
        assert "test-size" in json.loads(emoprune("list", "--json").out)["criteria"]

    def test_without_any_criterion_the_list_is_empty(self, emoprune: Command, folder: Path) -> None:
        bare = "import emoprune.plugins.registry as p; p._GROUPS.update(criterion='none.such', taxonomy='none.such')"
        code = f"{bare}; import sys; sys.argv[1:] = ['list', 'criteria']; from emoprune.__main__ import main; main()"
        done = finished_process(folder, "-c", code)
        assert (done.returncode, done.stdout.split()) == (0, ["criteria", "-", "leaves", "-"])


def test_init_tells_a_script_where_the_config_is(emoprune: Command, folder: Path) -> None:
    found = json.loads(emoprune("init", "digits", "--output", "a b.yaml", "--json").out)
    said = {"example": "digits", "path": "a b.yaml", "try": "emoprune run 'a b.yaml'"}
    assert found == {"schema": "emoprune.init/1", **said}
    assert (folder / "a b.yaml").exists()
