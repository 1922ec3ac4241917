"""Texts with what goes struck through: on the terminal, in plain output, on the page; and what cannot be shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems_for_tests import Knapsack12
from rich.console import Console
from runs_for_tests import HOSTILE, Story, TellableRun

import emoprune
from emoprune.contracts import Passage
from emoprune.errors import ContractError, RunCorrupt
from emoprune.records import Split
from emoprune.report.marked import marked_texts, shares
from emoprune.report.page import write_page
from emoprune.report.ranking import Entry, rank
from emoprune.report.wording import passage
from emoprune.space import IntArray
from emoprune.storage import write_sealed

SETTINGS = {"search": {"population": 10, "generations": 3}, "evaluation": {"backend": "serial"}}


class MarkedKnapsack(Knapsack12):
    """A knapsack whose items are a text."""

    def marked(self, genome: IntArray) -> Sequence[Passage]:
        return [Passage(f"{name}\n", bool(level)) for name, level in zip(self.space.names, genome, strict=True)]


def told(*texts: str) -> TellableRun:
    """Return a run whose front's candidates keep every other passage of a text, each beginning with another one."""
    run = Story(generations=4).tell()
    ids = sorted(entry.id for entry in rank(run).front)
    marked = {number: [Passage(text, (place + number) % 2 == 0) for place, text in enumerate(texts)] for number in ids}
    return replace(run, marked=marked)


def pruned(run: TellableRun) -> list[Entry]:
    ranking = rank(run)
    return [entry for entry in ranking.front if entry is not ranking.unpruned]


def drawn(run: TellableRun, *, terminal: bool) -> str:
    console = Console(
        file=io.StringIO(), width=100, force_terminal=terminal, color_system="standard" if terminal else None
    )
    with console.capture() as capture:
        console.print(marked_texts(run))
    return capture.get()


def test_what_goes_is_struck_through_on_a_terminal_and_bracketed_elsewhere() -> None:
    run = told("Review:", " bad", "\nSentiment:", " it")
    first = pruned(run)[0]
    struck = drawn(run, terminal=True)
    plain = "\n".join(line.rstrip() for line in drawn(run, terminal=False).splitlines())
    assert "\x1b[2;9m" in struck, "dim and struck through"
    assert f"candidate {first.id}" in plain
    assert "\x1b" not in plain
    expected = ("Review:[- bad-]\n  Sentiment:[- it-]", "[-Review:-] bad[-↵Sentiment:-] it")[first.id % 2]
    assert expected in plain


def test_the_best_and_the_knee_are_shown_and_nothing_where_there_is_no_text() -> None:
    run = told("a", "b")
    ranking = rank(run)
    shown = marked_texts(run)
    assert shown is not None
    lowest = min(pruned(run), key=lambda entry: entry.measured[Split.SELECT][0])
    wanted = {lowest.id, *(entry.id for entry in pruned(run) if entry.knee)}
    assert ranking.unpruned is not None
    assert ranking.unpruned.id not in wanted
    assert {entry.id for entry, _ in shown.shown} == wanted
    assert marked_texts(Story(generations=4).tell()) is None


def test_the_best_text_is_chosen_without_a_look_at_the_test_part() -> None:
    run = told("a", "b")
    chosen = marked_texts(run)
    assert chosen is not None
    turned = run.pareto.copy()
    turned["test.error"] = -turned["test.error"]
    others = marked_texts(replace(run, pareto=turned))
    assert rank(run).front != rank(replace(run, pareto=turned)).front, "the tables go by test"
    assert others is not None
    assert [entry.id for entry, _ in others.shown] == [entry.id for entry, _ in chosen.shown]
    unmeasured = marked_texts(replace(run, pareto=turned.assign(**{"select.error": np.nan})))
    assert unmeasured is not None
    lowest = min(pruned(run), key=lambda entry: (*entry.measured[Split.SEARCH], entry.id))
    assert unmeasured.shown[0][0].id == lowest.id


def test_a_hostile_text_steers_neither_terminal_nor_page(tmp_path: Path) -> None:
    run = told(HOSTILE, " x")
    plain = drawn(run, terminal=False)
    assert "\x1b" not in plain
    assert "\u202e" not in plain
    page = write_page(run, tmp_path / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page


def test_the_page_says_how_many_of_the_front_keep_each_passage(tmp_path: Path) -> None:
    run = told("never ", "always ")
    run = replace(run, marked={number: [Passage("never ", False), Passage("always ")] for number in run.marked})
    found = shares(rank(run), run.marked)
    count = len(run.marked)
    assert [(share.text, share.kept, share.of) for share in found] == [("never ", 0, count), ("always ", count, count)]
    page = write_page(run, tmp_path / "report.html").read_text()
    assert f'title="kept by {count} of {count}">always </span>' in page
    assert f'style="--share: 0.000" title="kept by 0 of {count}">never </span>' in page


def test_texts_that_are_no_choices_from_one_are_not_added_up(tmp_path: Path) -> None:
    run = told("a", "b")
    different = {number: [Passage(str(number))] for number in run.marked}
    assert shares(rank(run), different) == []
    assert "What the front keeps" not in write_page(replace(run, marked=different), tmp_path / "r.html").read_text()


@given(st.text())
def test_a_passage_keeps_spaces_and_line_ends_and_nothing_that_steers(text: str) -> None:
    shown = passage(text)
    assert not any(ord(character) < 32 and character != "\n" for character in shown)
    assert passage(shown) == shown
    assert passage("  two\r\n lines\t") == "  two\n lines "


def test_a_run_keeps_the_texts_of_its_table_and_they_are_made_again(tmp_path: Path) -> None:
    search = emoprune.search(SETTINGS, problem=MarkedKnapsack(), runs=tmp_path, name="r")
    list(search)
    run = search.run
    assert set(run.marked) == set(run.pareto["candidate_id"])
    genomes = {each.candidate.id: each.candidate.genome for each in run.evaluations()}
    for number, text in run.marked.items():
        assert [each.kept for each in text] == genomes[number].astype(bool).tolist()
    write_sealed(run.path / "marked.json", {"0": [{"txt": 1}]})
    with pytest.raises(RunCorrupt, match=r"marked\.json: 0\[0\]\.text: expected this key, found txt; .* rewrites it"):
        _ = run.marked
    list(emoprune.resume(run, problem=MarkedKnapsack(), overrides=["search.generations=4"]))
    assert set(run.marked) == set(run.pareto["candidate_id"])


def test_a_problem_without_texts_leaves_no_file(tmp_path: Path) -> None:
    search = emoprune.search(SETTINGS, problem=Knapsack12(), runs=tmp_path, name="r")
    list(search)
    assert not (search.run.path / "marked.json").exists()
    assert search.run.marked == {}


def test_texts_of_another_form_are_refused_before_the_search(tmp_path: Path) -> None:
    class Words(Knapsack12):
        def marked(self, genome: IntArray) -> Sequence[str]:
            return ["words"]

    class Raising(Knapsack12):
        def marked(self, genome: IntArray) -> Sequence[Passage]:
            return [Passage(3)]  # type: ignore[arg-type]  # what is to be refused

    with pytest.raises(ContractError, match=r"Words\.marked of reference 'unpruned': expected passages, found str"):
        list(emoprune.search(SETTINGS, problem=Words(), runs=tmp_path, name="words"))
    with pytest.raises(ContractError, match="passage: expected a text, found int"):
        list(emoprune.search(SETTINGS, problem=Raising(), runs=tmp_path, name="raising"))


def test_a_text_that_cannot_be_made_is_an_error_for_a_reference_and_a_gap_for_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from emoprune.cli.follow import follow

    class Never(MarkedKnapsack):
        def marked(self, genome: IntArray) -> Sequence[Passage]:
            raise KeyError("no words")

    class Sometimes(MarkedKnapsack):
        def marked(self, genome: IntArray) -> Sequence[Passage]:
            if not any((genome == each.genome).all() for each in self.references()):
                raise KeyError("no words")
            return super().marked(genome)

    with pytest.raises(ContractError, match=r"Never\.marked of reference 'unpruned': .* found KeyError"):
        list(emoprune.search(SETTINGS, problem=Never(), runs=tmp_path, name="never"))
    search = emoprune.search(SETTINGS, problem=Sometimes(), runs=tmp_path, name="sometimes")
    assert follow(search, as_json=False) == 0
    assert caplog.text.count("Sometimes.marked of candidate") == 1, "said once, however many they are"
    texts = search.run.marked
    assert set(texts) == set(search.run.pareto["candidate_id"])
    assert {len(text) for text in texts.values()} == {0, len(Knapsack12().space)}
    assert "[-item" not in capsys.readouterr().out
    write_page(search.run, tmp_path / "report.html")


def test_the_end_of_a_run_shows_the_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from emoprune.cli.follow import follow

    search = emoprune.search(SETTINGS, problem=MarkedKnapsack(), runs=tmp_path, name="r")
    assert follow(search, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "[-item" in shown
    assert json.loads((tmp_path / "r" / "marked.json").read_text())
