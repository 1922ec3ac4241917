from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mutations_for_tests import unend
from problems_for_tests import Knapsack12, OfferingKnapsack12
from searching_for_tests import searched_run

import emoprune
from emoprune.commands.audit import along_the_front, audit
from emoprune.contracts import Audit, Finding
from emoprune.errors import ConfigError, ContractError, RunCorrupt, RunLocked, RunNotFound
from emoprune.records import Candidate
from emoprune.report.page import write_page
from emoprune.run import Run
from emoprune.run.locks import alone
from emoprune.storage import write_sealed

SETTINGS = {
    "problem": "problems_for_tests:OfferingKnapsack12",
    "search": {"population": 20, "generations": 6},
    "evaluation": {"backend": "serial"},
}


def finished(runs: Path, name: str = "r", **given: Any) -> Run:
    return searched_run(SETTINGS, runs=runs, name=name, **given)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("runs"))


def front_of(run: Run) -> Any:
    """Return the final front without the unpruned, sorted along its second objective."""
    return run.pareto.query("rank == 1 and name != 'unpruned'").sort_values(["obj.weight", "candidate_id"])


class TestSampling:
    @pytest.mark.parametrize("count", [3, 4, 8])
    def test_candidates_lie_evenly_along_the_front_with_its_ends_and_its_knee(self, run: Run, count: int) -> None:
        front = front_of(run)
        order = front["candidate_id"].tolist()
        picked = [candidate.id for candidate in along_the_front(run, count)]
        places = [order.index(number) for number in picked]
        assert len(picked) == count < len(order)
        assert places == sorted(set(places))
        assert (places[0], places[-1]) == (0, len(order) - 1)
        assert front.query("knee == 1")["candidate_id"].iloc[0] in picked
        even = np.linspace(0, len(order) - 1, count)
        moved = np.abs(np.array(places) - even)
        assert np.sort(moved)[:-1].max(initial=0) <= 0.5  # all but the one that gave its place to the knee

    def test_a_front_that_is_smaller_than_asked_for_is_audited_whole_but_for_the_unpruned(self, run: Run) -> None:
        assert [each.id for each in along_the_front(run, 10_000)] == front_of(run)["candidate_id"].tolist()
        unpruned = next(iter(run.references))
        assert unpruned in run.pareto.query("rank == 1")["candidate_id"].tolist()

    def test_candidates_are_those_of_the_history(self, run: Run) -> None:
        genomes = {each.candidate.id: each.candidate.genome for each in run.evaluations()}
        assert all((each.genome == genomes[each.id]).all() for each in along_the_front(run, 5))

    def test_a_run_without_a_front_has_nothing_to_audit(self, run: Run, tmp_path: Path) -> None:
        for name in ("manifest.json", "config.resolved.json"):
            (tmp_path / name).write_text((run.path / name).read_text())
        unend(tmp_path)
        lines = (run.path / "history.jsonl").read_text().splitlines(keepends=True)
        unpruned = next(line for line in lines if json.loads(line)["candidate"] == 0)
        for history in ("", unpruned):
            (tmp_path / "history.jsonl").write_text(history)
            with pytest.raises(RunNotFound, match="has no front to audit yet, beside the unpruned"):
                audit(Run(tmp_path))


class Prying(OfferingKnapsack12):
    """Says what it is audited with."""

    def audit(self, candidates: Sequence[Candidate], folder: Path, seed: int) -> Audit:  # type: ignore[override]  # no options
        self.seen = (len(candidates), sorted(path.name for path in folder.iterdir()), seed)
        (folder / "kept").touch()
        assert self._worths is not None  # setup was called
        return Audit([Finding("none", 0.0, None, None, True, "Nothing can be said.")])


class Mute(OfferingKnapsack12):
    def audit(self, candidates: Sequence[Candidate], folder: Path, seed: int) -> None:  # type: ignore[override]  # the point
        return None


class TestAuditing:
    def test_an_audit_is_written_whole_into_the_run_and_returned(self, run: Run) -> None:
        found = audit(run, candidates=5, options=["resamples=50"])
        written = json.loads((run.path / "audit.json").read_text())
        del written["checksum"]
        assert written == {"schema": "emoprune.audit/1", **found}
        assert (found["alarms"], found["state"], found["generation"], found["seed"]) == (0, "finished", 5, 1)
        assert found["options"] == {"resamples": 50, "confidence": 0.95}
        assert [row["candidate"] for row in found["tables"]["losses"]] == found["candidates"]
        measured = {each.candidate.id: each.values["loss"] for each in run.evaluations()}
        assert all(row["search"] == measured[row["candidate"]] for row in found["tables"]["losses"])

    def test_the_same_audit_twice_finds_the_same(self, run: Run) -> None:
        first, second = (audit(run, candidates=4) for _ in range(2))
        assert {**first, "at": ""} == {**second, "at": ""}

    def test_the_problem_gets_front_members_the_runs_seed_and_a_folder_that_stays(self, tmp_path: Path) -> None:
        problem = Prying()
        given = finished(tmp_path, problem=problem)
        with pytest.raises(
            ConfigError, match=r"audit from Python: emoprune\.commands\.audit\.audit\(run, problem=\.\.\.\)"
        ):
            audit(given)
        audit(given, candidates=3, problem=problem)
        assert problem.seen == (3, [], 1)
        audit(given, candidates=3, problem=problem)
        assert problem.seen == (3, ["kept"], 1)

    def test_nothing_is_prepared_or_written_for_a_wrong_question(self, run: Run, tmp_path: Path) -> None:
        before = sorted(path.name for path in run.path.iterdir())
        with pytest.raises(ConfigError, match="expected at least 3 candidates to audit, found 2"):
            audit(run, candidates=2)
        with pytest.raises(ConfigError, match=r"--set resamples=x: expected an integer >= 10, found 'x'"):
            audit(run, options=["resamples=x"])
        with pytest.raises(ConfigError, match="Knapsack12 offers no audit: it has no member 'audit'"):
            audit(run, problem=Knapsack12())
        assert sorted(path.name for path in run.path.iterdir()) == before

    def test_a_problem_that_changed_since_the_search_is_refused(self, run: Run) -> None:
        with pytest.raises(ConfigError, match=r"the problem's .*genes changed"):
            audit(run, problem=OfferingKnapsack12(bits=13))

    def test_an_answer_that_is_no_audit_leaves_the_last_audit_alone(self, run: Run) -> None:
        audit(run)
        before = (run.path / "audit.json").read_bytes()
        with pytest.raises(ContractError, match=r"Mute\.audit: expected Audit in return, found NoneType"):
            audit(run, problem=Mute())
        assert (run.path / "audit.json").read_bytes() == before

    def test_two_audits_of_one_run_do_not_go_on_at_once(self, run: Run) -> None:
        with alone(run.path, "audit"), pytest.raises(RunLocked, match="another process is at audit already"):
            audit(run)

    def test_a_run_that_is_still_written_is_audited_as_far_as_it_got(self, tmp_path: Path) -> None:
        search = emoprune.search(SETTINGS, runs=tmp_path, name="r")
        for generation in search:
            if generation.index == 2:
                found = audit(search.run)
                assert (found["state"], found["generation"]) == ("running", 2)
                assert set(found["candidates"]) <= set(generation.front.ids.tolist())
        assert len(search.run.history) == 120


class TestPage:
    def test_the_page_has_no_audit_until_there_is_one(self, tmp_path: Path) -> None:
        given = finished(tmp_path)
        assert 'id="audit-heading"' not in write_page(given, tmp_path / "page.html").read_text()
        audit(given)
        page = write_page(given, tmp_path / "page.html").read_text()
        assert 'id="audit-heading"' in page
        assert "No finding raises an alarm." in page
        assert "The order on search is that on select." in page
        assert "kendall-tau" in page
        assert ">losses</h3>" in page

    def test_the_page_shows_alarms_and_nothing_of_an_audit_can_steer_it(self, tmp_path: Path) -> None:
        given = finished(tmp_path)
        content = audit(given)
        finding = {"alarm": True, "sentence": "<script>alert(1)</script>"}
        content["findings"].append({**content["findings"][0], **finding})
        content["tables"] = {"<b>": [{"<i>": "<u>"}] * 300, "empty": []}
        write_sealed(given.path / "audit.json", content)
        page = write_page(given, tmp_path / "page.html").read_text()
        assert '<strong class="broken">ALARM</strong> &lt;script&gt;' in page
        assert "1 of 2 findings raise an alarm." in page
        assert "100 more rows are in audit.json." in page
        assert page.count("&lt;u&gt;") == 200
        assert not any(mark in page for mark in ("<script>alert", "<u>", "<i>", ">empty</h3>"))

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"findings": [{}]}', '{"findings": [], "tables": {}}'])
    def test_an_audit_that_is_none_is_named(self, tmp_path: Path, run: Run, text: str) -> None:
        given = finished(tmp_path)
        (given.path / "audit.json").write_text(text)
        with pytest.raises(RunCorrupt, match=r"audit\.json"):
            write_page(given, tmp_path / "page.html")
