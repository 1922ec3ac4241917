"""Drawings of candidates: who is drawn, where they are kept, and what a page shows of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from problems_for_tests import Knapsack12

import emoprune
from emoprune.contracts import Picture
from emoprune.errors import ContractError
from emoprune.problems.pictures.curves import bars, lines
from emoprune.problems.pictures.images import image
from emoprune.problems.pictures.svg import document, words
from emoprune.report.page import write_page
from emoprune.space import IntArray

SETTINGS = {"search": {"population": 10, "generations": 3}, "evaluation": {"backend": "serial"}}


class DrawnKnapsack(Knapsack12):
    """A knapsack whose items are bars."""

    def picture(self, genome: IntArray) -> Picture:
        return Picture("<b>items</b>", document([bars("items", {"kept": genome}, self.space.names)]))


def test_a_run_draws_the_unpruned_and_some_of_the_front_and_its_page_shows_them(tmp_path: Path) -> None:
    search = emoprune.search(SETTINGS, problem=DrawnKnapsack(), runs=tmp_path, name="r")
    list(search)
    drawn = search.run.pictures
    table = search.run.pareto.set_index("candidate_id")
    assert table.loc[list(drawn), "name"].eq("unpruned").any()
    assert table.loc[list(drawn), "knee"].eq(1).any()
    assert 2 <= len(drawn) <= 10
    page = write_page(search.run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/svg+xml;base64,') == len(drawn)
    assert "<b>items</b>" not in page
    before = (search.run.path / "pictures.json").read_bytes()
    list(emoprune.resume(search.run, problem=DrawnKnapsack()))
    assert (search.run.path / "pictures.json").read_bytes() == before


def test_a_problem_that_draws_nothing_leaves_no_file(tmp_path: Path) -> None:
    search = emoprune.search(SETTINGS, problem=Knapsack12(), runs=tmp_path, name="r")
    list(search)
    assert search.run.pictures == {}
    assert not (search.run.path / "pictures.json").exists()


def test_a_drawing_that_fails_ends_no_search_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Torn(Knapsack12):
        def picture(self, genome: IntArray) -> str:
            return "no picture"

    search = emoprune.search(SETTINGS, problem=Torn(), runs=tmp_path, name="r")
    list(search)
    assert search.run.pictures == {}
    assert caplog.text.count("Torn.picture of candidate") == 1


@pytest.mark.parametrize(
    ("caption", "svg", "complaint"),
    [
        ("seen", "<html>", "a text that begins with <svg, found '<html>'"),
        (" ", "<svg />", "expected a caption, found none"),
        ("seen", "<svg " + "x" * 2_000_000, "at most 2,000,000 characters, found 2,000,005"),
    ],
)
def test_what_is_no_picture_is_refused(caption: str, svg: str, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        Picture(caption, svg)


def test_drawings_are_well_formed_whatever_the_words_are() -> None:
    from xml.etree import ElementTree

    curve = lines("a < b & c", {'"x"': ([0, 1, 2], [5, 5, 5])})
    drawn = document([curve, bars("t", {"all": [3, 0]}, ["<", ">"]), image("i", np.eye(4), below="&")])
    assert len(ElementTree.fromstring(drawn)) == 3  # noqa: S314  # it was made here
    assert words(0, 0, "") == ""
