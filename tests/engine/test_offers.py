from __future__ import annotations

import io
import json
import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems_for_tests import Knapsack12, OfferingKnapsack12
from rich.console import Console
from runs_for_tests import HOSTILE

from emoprune.contracts import (
    Audit,
    Audited,
    Exporting,
    Finding,
    Inspected,
    Inspection,
    Recovered,
    Recovering,
)
from emoprune.errors import ContractError
from emoprune.report.offers import audit_text, inspection_text, interval

OK = Finding("tau", 0.5, 0.1, 0.9, False, "The order holds.")
CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@pytest.mark.parametrize("promise", [Exporting, Inspected, Audited, Recovering])
def test_a_problem_offers_what_it_has_the_members_of(promise: type) -> None:
    assert isinstance(OfferingKnapsack12(), promise)
    assert not isinstance(Knapsack12(), promise)


@given(st.dictionaries(st.text(), st.lists(st.dictionaries(st.text(), CELLS, max_size=3), max_size=3), max_size=3))
def test_tables_of_plain_cells_stay_as_they_are_and_can_be_written_as_json(tables: dict[str, Any]) -> None:
    kept = Inspection({}, tables).tables
    assert kept == tables
    assert json.loads(json.dumps(kept, allow_nan=False)) == tables
    assert Audit([OK], tables).tables == tables


def test_numbers_of_numpy_become_plain_ones() -> None:
    inspection = Inspection({"n": np.int64(3), "yes": np.bool_(True)}, {"t": [{"x": np.float32(0.5)}]})
    assert json.dumps([inspection.summary, inspection.tables]) == '[{"n": 3, "yes": true}, {"t": [{"x": 0.5}]}]'
    finding = Finding("tau", np.float64(0.5), np.float32(0), None, np.bool_(True), "So.")
    assert json.loads(json.dumps(asdict(finding))) == {**asdict(OK), "low": 0.0, "high": None, "alarm": True} | {
        "sentence": "So."
    }
    recovered = Recovered({"test": {"error": np.float32(0.5)}}, {"file": "a"})
    assert json.dumps(recovered.values) == '{"test": {"error": 0.5}}'


def test_notes_are_paragraphs_and_not_the_letters_of_one() -> None:
    assert Inspection({}, notes=["One.", "Two."]).notes == ("One.", "Two.")
    with pytest.raises(ContractError, match=r"notes: expected a list of paragraphs, found one text 'One\.'"):
        Inspection({}, notes="One.")


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda: Inspection({"size": math.nan}), r"inspection's summary 'size': expected a finite number, found nan"),
        (lambda: Inspection({"size": None}), r"'size': expected text or a number, found None; leave the label out"),  # type: ignore[dict-item]  # the point
        (lambda: Inspection({"size": [1]}), r"'size': expected text or a number, found list"),  # type: ignore[dict-item]  # the point
        (lambda: Inspection({}, {"t": [{}, {"x": math.inf}]}), r"table 't', row 1: 'x': expected a finite .* use None"),
        (lambda: Finding("tau", math.nan, None, None, False, "So."), r"finding 'tau': expected a finite number"),
        (lambda: Finding("tau", 0.0, 1.0, 0.5, False, "So."), r"'tau': expected low <= high, found 1\.0 and 0\.5"),
        (lambda: Finding("tau", "0.5", None, None, False, "So."), r"finding 'tau': expected a number, found str"),  # type: ignore[arg-type]  # the point
        (lambda: Finding("tau", 0.0, None, None, False, " "), r"'tau': expected a name and a sentence"),
        (lambda: Audit([]), r"audit: expected at least one Finding, found none"),
        (lambda: Audit([{"name": "tau"}]), r"audit: expected at least one Finding, found dict"),  # type: ignore[list-item]  # the point
        (lambda: Recovered({}, {}), r"expected values by split, of search, select, test; found none"),
        (lambda: Recovered({"train": {"loss": 1.0}}, {}), r"of search, select, test; found 'train'"),
        (lambda: Recovered({"test": {"loss": math.nan}}, {}), r"recovered, 'loss' on test: expected a finite number"),
        (lambda: Recovered({"test": {"loss": 1.0}}, {"file": None}), r"recovered, description 'file': expected text"),  # type: ignore[dict-item]  # the point
    ],
)
def test_a_record_that_could_not_be_shown_says_where_it_is_wrong(broken: Any, complaint: str) -> None:
    with pytest.raises(ContractError, match=complaint):
        broken()


@pytest.mark.parametrize("width", [30, 80, 200])
def test_what_is_shown_fits_the_terminal_whole_and_cannot_steer_it(width: int) -> None:
    console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
    tables = {HOSTILE: [{"name": HOSTILE, "size": 0.5, "of": None}, {"name": "a" * 300, "size": 128}]}
    console.print(inspection_text(asdict(Inspection({HOSTILE: HOSTILE, "pruned": True}, tables, [HOSTILE]))))
    finding = asdict(Finding(HOSTILE, 0.5, None, 1.0, True, HOSTILE))
    console.print(audit_text({"findings": [finding], "tables": tables, "candidates": [1, 2]}))
    shown = console.export_text()
    assert all(len(line) <= width for line in shown.splitlines())
    assert shown.count("a") >= 600
    assert "128.0" in shown
    assert "ALARM" in shown
    assert not any(mark in shown for mark in ("\x1b", "\u202e", "\u2028"))


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [(None, None, "0.25"), (0.1, 0.5, "0.25 [0.10, 0.50]"), (None, 0.5, "0.25 [-, 0.50]")],
)
def test_an_interval_is_written_as_far_as_it_is_known(low: float | None, high: float | None, written: str) -> None:
    assert interval({"value": 0.25, "low": low, "high": high}) == written
