"""Runs beside each other: one reference point, what differs, what several seeds attain."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands_for_tests import Command
from rich.console import Console
from searching_for_tests import searched_run

from emoprune.commands.comparing import compare
from emoprune.contracts import as_minimised
from emoprune.errors import ConfigError
from emoprune.front import hypervolume
from emoprune.report.compare_page import write_comparison
from emoprune.report.compared import compared_text
from emoprune.report.wording import numbers
from emoprune.run import Run, open_run

SMALL: dict[str, Any] = {"search": {"population": 12, "generations": 3, "seed": 1}, "evaluation": {"backend": "serial"}}
KNAPSACK, GRADED = "problems_for_tests:Knapsack12", "problems_for_tests:GradedKnapsack12"
SEARCHES: dict[str, dict[str, Any]] = {
    "one": {"problem": KNAPSACK, **SMALL},
    "two": {"problem": KNAPSACK, **SMALL, "search": {**SMALL["search"], "seed": 2}},
    "drawn": {"problem": KNAPSACK, **SMALL, "search": {**SMALL["search"], "algorithm": "random"}},
    "larger": {"problem": {"name": KNAPSACK, "bits": 14}, **SMALL},
    "graded": {"problem": GRADED, **SMALL},
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of finished runs: two seeds of one search, and others."""
    folder = tmp_path_factory.mktemp("searched")
    for name, settings in SEARCHES.items():
        searched_run(settings, runs=folder, name=name)
    return folder


@pytest.fixture
def runs(searched: Path, folder: Path) -> Path:
    shutil.copytree(searched, folder / "runs")
    return folder / "runs"


def opened(folder: Path, *names: str) -> list[Run]:
    return [open_run(folder / name) for name in names]


def test_hypervolumes_are_those_of_the_fronts_by_one_point(searched: Path) -> None:
    one, two, larger = opened(searched, "one", "two", "larger")
    found = compare([one, two, larger])
    assert found.split == "test"
    own = [run.manifest["reference_point"] for run in (one, two, larger)]
    assert found.point == {name: max(each[name] for each in own) for name in ("loss", "weight")}
    point = np.array([*found.point.values()])
    for run, each in zip((one, two, larger), found.runs, strict=True):
        frame = run.pareto
        values = frame.loc[frame["rank"] == 1, ["test.loss", "test.weight"]].to_numpy(dtype=np.float64)
        assert each.hypervolume == pytest.approx(hypervolume(as_minimised(values, run.objectives), point))
        assert each.evaluated == run.generations["evaluated"].tolist()
        assert (np.diff(each.hypervolumes) >= 0).all()


def test_the_curve_of_a_run_by_its_own_point_is_what_the_run_wrote(searched: Path) -> None:
    one, two = opened(searched, "one", "two")
    if one.manifest["reference_point"] != two.manifest["reference_point"]:
        pytest.fail("expected two seeds with one reference point: the knapsack's `worst` fixes it")
    found = compare([one, two])
    assert found.runs[0].hypervolumes == pytest.approx(one.generations["hypervolume"].tolist())


def test_only_what_differs_is_told_and_seeds_of_one_search_are_a_group(searched: Path) -> None:
    found = compare(opened(searched, "one", "two", "drawn"))
    assert dict(found.differing) == {
        "search.algorithm.name": ["nsga2", "nsga2", "random"],
        "search.seed": [1, 2, 1],
    }
    assert [run.group for run in found.runs] == [0, 0, 1]
    assert list(found.surfaces) == [0]
    assert found.notes == []


def test_what_all_attain_is_attained_by_each_and_what_one_attains_is_the_front_of_all(searched: Path) -> None:
    found = compare(opened(searched, "one", "two"))
    fronts = [np.array(run.front) for run in found.runs]
    surfaces = {name: np.array(rows) for name, rows in found.surfaces[0].items()}
    for row in surfaces["attained by all"]:
        assert all((front <= row).all(axis=1).any() for front in fronts)
    for front in fronts:
        assert all((surfaces["attained by one"] <= row).all(axis=1).any() for row in front)


def test_runs_of_other_things_are_refused_or_doubted(searched: Path) -> None:
    with pytest.raises(ConfigError, match=r"runs of the same problems, found .*:Knapsack12 in one and .*:Graded"):
        compare(opened(searched, "one", "graded"))
    with pytest.raises(ConfigError, match="expected at least two runs to compare, found 1"):
        compare(opened(searched, "one"))
    with pytest.raises(ConfigError, match="found one twice; name it once"):
        compare(opened(searched, "one", "two", "one"))
    (note,) = compare(opened(searched, "one", "larger")).notes
    assert note.startswith("The unpruned thing has weight ")


def test_the_command_writes_a_table_csv_json_and_a_page(emoprune: Command, runs: Path, folder: Path) -> None:
    shown = emoprune("compare", "one", "drawn", "-o", "both.html")
    assert (shown.code, shown.err) == (0, "")
    assert "search.algorithm.name" in shown.out
    assert shown.out.endswith("\nwritten to both.html\n")
    found = json.loads(emoprune("compare", "one", "drawn", "--json").out)
    assert found["schema"] == "emoprune.comparison/1"
    rows = list(csv.DictReader(io.StringIO(emoprune("compare", "one", "drawn", "--csv").out)))
    assert [row["run"] for row in rows] == ["one", "drawn"]
    assert [float(row["hypervolume"]) for row in rows] == [run["hypervolume"] for run in found["runs"]]
    assert [row["search.algorithm.name"] for row in rows] == ["nsga2", "random"]
    assert emoprune("compare", "one", "graded").code == 2
    assert emoprune("compare", "one", "drawn", "--csv", "--json").code == 2
    page = (folder / "both.html").read_text(encoding="utf-8")
    assert "default-src &#39;none&#39;" in page
    assert len(page) < 6_000_000


def test_hostile_names_stay_words(searched: Path, tmp_path: Path) -> None:
    found = compare(opened(searched, "one", "drawn")).as_json()
    hostile = "</script><img src=x onerror=alert(1)>"
    found["runs"][0]["name"] = hostile
    found["differing"]["=cmd()"] = [hostile, None]
    page = write_comparison(found, tmp_path / "page.html").read_text(encoding="utf-8")
    body = page.partition("</style>")[2]
    assert hostile not in body
    assert body.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;") >= 3  # heading, table, what differs


def test_no_number_and_no_key_is_cut_in_a_terminal_of_eighty_columns(searched: Path) -> None:
    found = compare(opened(searched, "one", "two", "drawn")).as_json()
    found["objectives"] = [{**each, "unit": "a unit of many words"} for each in found["objectives"]]
    found["runs"] = [{**run, "name": f"{place} of a whole day and more"} for place, run in enumerate(found["runs"] * 3)]
    found["differing"] = {key: values * 3 for key, values in found["differing"].items()}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(compared_text(found))
    text = console.export_text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert text.count(numbers([run["hypervolume"] for run in found["runs"]])[0]) >= 3
