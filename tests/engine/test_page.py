from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs_for_tests import HOSTILE, Story, TellableRun

from emoprune.errors import StorageError
from emoprune.report.page import write_page
from emoprune.report.page_data import plots
from emoprune.report.page_text import failures, summary
from emoprune.report.ranking import rank


class Page(HTMLParser):
    """A page taken apart: its tags with the names of their attributes, its texts, its scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])

    @property
    def policy(self) -> str:
        return next(value for name, value in self.attributes if name == "content" and "default-src" in value)


@pytest.fixture(scope="module")
def told() -> TellableRun:
    return Story().tell()


@pytest.fixture(scope="module")
def path(told: TellableRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(told, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def page(path: Path) -> Page:
    return Page(path)


@pytest.fixture(scope="module")
def ten_thousand() -> TellableRun:
    """A run of ten thousand candidates."""
    return Story(generations=100, population=100, measured=False).tell()


def plots_of(story: Story) -> dict[str, Any]:
    run = story.tell()
    return plots(run, rank(run))


# ---- the file


def test_the_same_run_gives_the_same_bytes(told: TellableRun, path: Path, tmp_path: Path) -> None:
    again = write_page(Story().tell(), tmp_path / "again.html")
    assert again.read_bytes() == path.read_bytes()


def test_the_page_replaces_the_old_one_and_leaves_nothing_beside_it(told: TellableRun, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    assert write_page(told, tmp_path / "report.html") == tmp_path / "report.html"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_folder_that_is_gone_is_named_in_the_error(told: TellableRun, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone.report\.html: the folder is gone"):
        write_page(told, tmp_path / "gone" / "report.html")


def test_the_page_refers_to_nothing_outside_itself(page: Page) -> None:
    addresses = [value for name, value in page.attributes if name in ("src", "href", "action", "srcset", "data")]
    assert addresses == ["data:,"]
    own = [page.scripts[0], page.scripts[2], *page.texts]
    assert not any(re.search(r"https?:|url\(|@import", text) for text in own)


def test_the_policy_names_the_scripts_of_the_page_and_no_host(page: Page) -> None:
    allowed = re.findall(r"'sha256-([^']+)'", page.policy)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in page.scripts[1:]]
    assert allowed == digests
    assert page.policy.startswith("default-src 'none'; ")
    assert not re.search(r"https?:|\*|unsafe-eval|script-src[^;]*unsafe-inline", page.policy)


def test_hostile_names_change_no_tag_of_the_page(tmp_path: Path) -> None:
    genes = [f"{HOSTILE}{number}" for number in range(5)]
    hostile = Story(generations=3, name=HOSTILE, genes=genes, reason=HOSTILE, unit=HOSTILE, note=HOSTILE, failing=0.1)
    harmless = replace(hostile, name="x", genes="abcde", reason="x", unit="x", note="x", rng=Story().rng)
    hostile = replace(hostile, rng=Story().rng)
    pages = [Page(write_page(story.tell(), tmp_path / "report.html")) for story in (hostile, harmless)]
    assert pages[0].tags == pages[1].tags
    assert "</script><img src=x onerror=alert(1)>[red]=cmd() 😀" in pages[0].texts
    assert not any(set(text) & {"\x1b", "\u202e", "\u2028"} for text in [*pages[0].texts, pages[0].scripts[0]])


def test_the_embedded_data_survives_the_trip_through_html(page: Page, told: TellableRun) -> None:
    assert page.data == json.loads(json.dumps(plots(told, rank(told))))
    assert not set(page.scripts[0]) & set("<>&\u2028\u2029")


def test_the_tables_of_the_page_can_be_read_without_scripts(page: Page, told: TellableRun) -> None:
    texts = {text.strip() for text in page.texts}
    ranking = rank(told)
    assert {str(entry.id) for entry in (*ranking.front, *ranking.references)} <= texts
    assert {"2,433,024", "unpruned", "uniform-half", "error (%)", "19"} <= texts


@pytest.mark.parametrize(
    "story",
    [
        Story(generations=1, measured=False),
        Story(generations=1, failing=1.0),
        Story(generations=2, objectives=1),
        Story(generations=2, objectives=3, constrained=True),
        None,
    ],
    ids=["one generation", "all failed", "one objective", "three and a constraint", "ten thousand candidates"],
)
def test_every_kind_of_run_gives_a_page_of_bounded_size(
    story: Story | None, ten_thousand: TellableRun, tmp_path: Path
) -> None:
    path = write_page(story.tell() if story else ten_thousand, tmp_path / "report.html")
    page = Page(path)
    assert len(page.scripts) == 3
    assert len(page.data["candidates"]) >= 3
    assert path.stat().st_size < 8_000_000


def test_a_run_that_has_not_evaluated_anything_gives_a_page_that_says_so(tmp_path: Path) -> None:
    run = Story(generations=1, measured=False).tell()
    nothing = {name: getattr(run, name).iloc[:0] for name in ("history", "generations", "pareto")}
    empty = replace(run, **nothing, descriptions={}, manifest={**run.manifest, "reference_point": None})
    texts = [text.strip() for text in Page(write_page(empty, tmp_path / "report.html")).texts]
    assert "No candidate is on the front: none could be measured." in texts
    assert "Measured on search, from the reference point: not fixed yet." in texts


# ---- what the plots show


def test_the_cloud_is_everything_evaluated_that_is_not_a_candidate_of_the_page() -> None:
    run = Story(generations=5).tell()
    data = plots(run, rank(run))
    failed = run.history.loc[run.history["status"].ne("ok"), "candidate"]
    everyone = {*data["cloud"]["ids"], *(candidate["id"] for candidate in data["candidates"]), *failed}
    assert everyone == set(run.history["candidate"])
    assert data["cloud"]["all"] == len(data["cloud"]["ids"])


def test_a_cloud_of_ten_thousand_is_sampled_evenly(ten_thousand: TellableRun) -> None:
    cloud = plots(ten_thousand, rank(ten_thousand))["cloud"]
    assert len(cloud["ids"]) == len(set(cloud["ids"])) == 5000 < cloud["all"]
    counts = np.bincount(cloud["generations"], minlength=100)[1:]
    assert counts.min() > 0.5 * counts.mean()


def test_candidates_that_break_a_constraint_are_marked_in_the_cloud() -> None:
    run = Story(generations=5, constrained=True).tell()
    cloud = plots(run, rank(run))["cloud"]
    latency = run.history.set_index("candidate").loc[cloud["ids"], "con.latency"]
    assert cloud["feasible"] == (latency <= 9.0).tolist()
    assert {True, False} == set(cloud["feasible"])


def test_a_candidate_has_its_numbers_on_every_split_its_words_and_its_command(told: TellableRun) -> None:
    candidate = next(each for each in plots(told, rank(told))["candidates"] if each["knee"])
    row = told.pareto.set_index("candidate_id").loc[candidate["id"]]
    error, macs = candidate["numbers"]
    assert [float(text) for text in error[1:4]] == [row["obj.error"], row["select.error"], row["test.error"]]
    assert (error[0], macs[0], macs[1]) == ("error (%)", "macs", f"{row['obj.macs']:,.0f}")
    assert candidate["keeps"][0] == ["kept widths", told.descriptions[candidate["id"]]["kept widths"]]
    assert candidate["command"] == f"emoprune export digits-widths {candidate['id']}"
    parent = told.history.set_index("candidate").loc[candidate["id"], "parents"][0]
    assert candidate["born"].endswith(f"by-kind, from {parent}")


def test_a_name_that_a_shell_would_run_is_quoted_in_the_command() -> None:
    candidate = plots_of(Story(generations=1, name="x; rm -rf ~", measured=False))["candidates"][0]
    assert candidate["command"] == f"emoprune export 'x; rm -rf ~' {candidate['id']}"


def test_what_was_not_measured_is_nothing_instead_of_nan() -> None:
    candidates = plots_of(Story(generations=2, measured=False))["candidates"]
    assert all(candidate["values"]["test"] == [None, None] for candidate in candidates)
    assert all(row[3] == "-" for candidate in candidates for row in candidate["numbers"])


def test_a_broken_constraint_is_told_with_its_bound() -> None:
    candidates = plots_of(Story(generations=3, constrained=True))["candidates"]
    unpruned = next(candidate for candidate in candidates if candidate["kind"] == "unpruned")
    name, value, bound, holds = unpruned["limits"][0]
    assert (name, bound, holds) == ("latency", "at most 9 ms", False)
    assert float(value.removesuffix(" ms")) > 9


def test_the_best_so_far_of_a_single_objective_only_gets_better_and_ends_with_the_history() -> None:
    run = Story(objectives=1, generations=5, measured=False).tell()
    best = plots(run, rank(run))["best"]
    assert best["positions"][-1] == len(run.history)
    assert best["values"] == sorted(best["values"], reverse=True)
    assert best["values"][-1] == run.history["obj.error"].min()


def test_several_objectives_have_no_best_so_far(told: TellableRun) -> None:
    assert plots(told, rank(told))["best"] is None


def test_the_genes_of_the_front_are_ordered_by_the_last_objective(told: TellableRun) -> None:
    genes = plots(told, rank(told))["genes"]
    history = told.history.set_index("candidate")
    assert history.loc[genes["ids"], "obj.macs"].is_monotonic_increasing
    assert genes["genomes"] == history.loc[genes["ids"], "genome"].tolist()
    assert genes["names"] == ["conv1", "conv2", "conv3", "dense1", "dense2"]


def test_the_genes_of_a_long_front_are_sampled_with_both_ends(ten_thousand: TellableRun) -> None:
    run = ten_thousand
    genes = plots(run, rank(run))["genes"]
    macs = run.pareto.loc[run.pareto["rank"].eq(1), ["candidate_id", "obj.macs"]].sort_values("obj.macs")
    assert len(genes["ids"]) == 200 < genes["all"] == len(macs)
    assert [genes["ids"][0], genes["ids"][-1]] == macs["candidate_id"].iloc[[0, -1]].tolist()


# ---- what the page says


def test_failures_that_differ_in_their_numbers_are_one_reason() -> None:
    run = Story(generations=2, failing=0.5).tell()
    failed = run.history["status"].ne("ok")
    history = run.history.copy()
    history.loc[failed, "reason"] = [f"out of memory: {number} MB" for number in range(failed.sum())]
    found = failures(history)
    assert found.count == failed.sum()
    assert found.reasons == (("error", "out of memory: 0 MB", failed.sum(), history.loc[failed, "candidate"].iloc[0]),)


def test_the_most_frequent_reasons_come_first_and_the_rest_is_counted() -> None:
    run = Story(generations=5, failing=0.5).tell()
    failed = run.history["status"].ne("ok")
    history = run.history.copy()
    letters = ["often"] * 10 + ["ab"[n % 2] * n for n in range(1, failed.sum() - 9)]
    history.loc[failed, "reason"] = letters
    found = failures(history)
    assert found.reasons[0][1:3] == ("often", 10)
    assert len(found.reasons) == 20 < found.kinds == len(set(letters))


def test_the_summary_says_what_decides_whether_the_run_can_be_repeated(told: TellableRun) -> None:
    packages = {"numpy": "2.4.6", "pymoo": "0.6.2", "idna": "3.1"}
    manifest = {**told.manifest, "emoprune": "0.1.0", "environment": {"python": "3.11.2", "packages": packages}}
    words = dict(summary(replace(told, manifest=manifest), rank(told)))
    assert words["versions"] == "emoprune 0.1.0, python 3.11.2, numpy 2.4.6, pymoo 0.6.2"
    assert words["objectives"] == "error in % (less is better); macs (less is better)"
    assert (words["seed"], words["problem"], words["begun"]) == ("3", "digits", "2026-11-23 14:05:07 UTC")
    assert words["evaluations"] == "1,000, 19 failed"
