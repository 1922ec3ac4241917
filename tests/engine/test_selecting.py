"""One candidate by what a person wishes, and the whole front exported."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands_for_tests import Command
from rich.console import Console
from runs_for_tests import Story, TellableRun
from searching_for_tests import searched_run

from emoprune.commands.selection import Selection, select
from emoprune.commands.wishes import Wishes
from emoprune.errors import ConfigError, RunNotFound
from emoprune.report.selected import selected_text

OFFERING = "problems_for_tests:OfferingKnapsack12"


@pytest.fixture(scope="module")
def story() -> TellableRun:
    return Story(generations=8).tell()


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run, `done`."""
    folder = tmp_path_factory.mktemp("searched")
    settings = {
        "problem": OFFERING,
        "search": {"population": 12, "generations": 3},
        "evaluation": {"backend": "serial"},
    }
    searched_run(settings, runs=folder, name="done")
    return folder


@pytest.fixture
def runs(searched: Path, folder: Path) -> Path:
    shutil.copytree(searched, folder / "runs")
    return folder / "runs"


def front(run: TellableRun) -> pd.DataFrame:
    return run.pareto[run.pareto["rank"] == 1].sort_values("select.error").reset_index(drop=True)


def selected(run: TellableRun, *where: str, **words: str) -> Selection:
    return select(run, Wishes.of(where, **words))  # type: ignore[arg-type]  # it has what is read of a run


def test_conditions_are_kept_on_select_and_the_rest_decides(story: TellableRun) -> None:
    members = front(story)
    bound = float(members["select.error"].quantile(0.7))
    found = selected(story, f"error<={bound}", least="macs")
    rest = members[members["select.error"] <= bound]
    assert found.candidate == rest.loc[rest["select.macs"].idxmin(), "candidate_id"]
    assert found.why == (
        f"the least macs of {len(rest)} of {len(members)} on the front with error<={bound}, measured on select"
    )
    assert found.values == {"error": found.values["error"], "macs": rest["select.macs"].min()}
    assert found.test["macs"] == rest["select.macs"].min()


def test_a_bound_in_percent_is_of_the_unprunded_thing(story: TellableRun) -> None:
    unpruned = story.pareto.set_index("name").loc["unpruned"]
    found = selected(story, "macs<50%", least="error")
    members = front(story)
    rest = members[members["select.macs"] < unpruned["select.macs"] / 2]
    assert found.values["error"] == rest["select.error"].min()


def test_at_most_so_much_worse_than_a_reference_takes_the_cheapest(story: TellableRun) -> None:
    members, whole = front(story), story.pareto.set_index("name")
    for text, allowed in (("5", 5.0), ("10%", whole.loc["uniform-half", "select.error"] / 10)):
        found = selected(story, at_most_worse=text, reference="uniform-half")
        rest = members[members["select.error"] <= whole.loc["uniform-half", "select.error"] + allowed]
        assert found.values["macs"] == rest["select.macs"].min()
        assert f"error at most {text} worse than uniform-half's" in found.why


def test_weights_move_along_the_front_from_one_end_to_the_other(story: TellableRun) -> None:
    shares = ("error=1,macs=1000", "error=1,macs=4", "error=1,macs=1", "error=4,macs=1", "error=1000,macs=1")
    errors = [selected(story, weights=weights).values["error"] for weights in shares]
    assert (np.diff(errors) <= 0).all()
    members = front(story)
    assert (errors[0], errors[-1]) == (members["select.error"].max(), members["select.error"].min())


def test_without_wishes_it_is_the_knee(story: TellableRun) -> None:
    assert selected(story).candidate == story.pareto.loc[story.pareto["knee"] == 1, "candidate_id"].item()


def test_neighbours_are_the_next_ones_of_the_front_in_each_objective(story: TellableRun) -> None:
    members = front(story)
    place = len(members) // 2
    own = members.iloc[place]
    found = selected(story, f"error<={own['select.error']}", least="macs")
    assert found.candidate == own["candidate_id"]
    better, cheaper = members.iloc[place - 1], members.iloc[place + 1]
    assert [(step.candidate, step.better_in) for step in found.neighbours] == [
        (better["candidate_id"], "error"),
        (cheaper["candidate_id"], "macs"),
    ]
    assert found.neighbours[0].changes == pytest.approx(
        [better[f"select.{name}"] - own[f"select.{name}"] for name in ("error", "macs")]
    )


def test_before_select_was_measured_the_search_part_chooses_and_it_is_said() -> None:
    found = selected(Story(generations=3, measured=False).tell(), least="macs")
    assert (found.split, found.test) == ("search", {"error": None, "macs": None})
    assert found.why.endswith("measured on search")


def test_more_of_an_objective_may_be_wanted() -> None:
    story = Story(objectives=3, generations=4).tell()
    most = selected(story, most="throughput")
    members = front(story)
    assert most.values["throughput"] == members["select.throughput"].max()
    assert all(step.better_in != "throughput" for step in most.neighbours)


@pytest.mark.parametrize(
    ("where", "words", "complaint"),
    [
        (("error",), {}, "--where: expected an objective, one of <, <=, >, >=, = and a number, found 'error'"),
        (("error<low",), {}, "--where: expected a number, found 'low'"),
        (("errors<1",), {}, "--where: expected an objective, one of error, macs, found 'errors'"),
        ((), {"least": "speed"}, "--min: expected an objective, one of error, macs, found 'speed'"),
        ((), {"weights": "error=0"}, "--weights: expected numbers above 0, found 0 for error"),
        ((), {"weights": "error"}, "--weights: expected a number, found 'error'"),
        ((), {"weights": "error=1, error=2"}, "--weights: expected each objective once, found 'error=1, error=2'"),
        ((), {"at_most_worse": "-1"}, "--at-most-worse: expected a number from 0 on, found '-1'"),
        ((), {"reference": "unpruned"}, "give that as well, or leave it out"),
        ((), {"at_most_worse": "1", "reference": "mine"}, "--reference: expected one of unpruned, uniform-half, "),
        ((), {"least": "macs", "weights": "error=1"}, "expected one of --knee, --best, .* found --min and --weights"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(
    story: TellableRun, where: tuple[str, ...], words: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        selected(story, *where, **words)


def test_conditions_that_nobody_keeps_are_answered_with_what_there_is(story: TellableRun) -> None:
    with pytest.raises(RunNotFound, match=r"none of the \d+ candidates on the front has error<0; they have error "):
        selected(story, "error<0")
    with pytest.raises(RunNotFound, match=r"on the front of those with macs<1e9 has error<0"):
        selected(story, "macs<1e9", "error<0")
    share = story.pareto.set_index("name").loc["unpruned", "select.error"] / 1000
    with pytest.raises(RunNotFound, match=re.escape(f"has error<0.1% ({share:.6g}); they have error ")):
        selected(story, "error<0.1%")


def test_a_neighbour_that_is_the_next_one_in_two_objectives_is_shown_once() -> None:
    story = Story(objectives=3, generations=4).tell()
    found = selected(story, most="throughput").as_json()
    found["neighbours"] = [
        {**found["neighbours"][0], "better_in": name, "candidate": 777} for name in ("error", "macs")
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(selected_text(found, story.objectives))
    assert console.export_text().count("777") == 1


def test_the_command_says_who_why_and_how_to_go_on(emoprune: Command, runs: Path) -> None:
    shown = emoprune("select", "done", "--where", "loss<0.5", "--min", "weight")
    assert (shown.code, shown.err) == (0, "")
    found = json.loads(emoprune("select", "done", "--where", "loss<0.5", "--min", "weight", "--json").out)
    assert found["schema"] == "emoprune.selection/1"
    assert re.match(
        rf"Candidate {found['candidate']}( \(.*\))? of done *\nThe least weight of \d+ of \d+ on the ", shown.out
    )
    assert shown.out.endswith(f"\nexport   emoprune export done {found['candidate']}\n")
    assert emoprune("select", "done", "--knee", "--best").code == 2
    assert emoprune("select", "done", "--where", "loss<0").code == 3


def test_other_commands_take_the_same_words(emoprune: Command, runs: Path) -> None:
    words = ("done", "--where", "loss<0.5", "--min", "weight")
    number = json.loads(emoprune("select", *words, "--json").out)["candidate"]
    exported = json.loads(emoprune("export", *words, "--json").out)
    assert exported["path"] == f"runs/done/exports/{number}"
    assert json.loads(emoprune("recover", *words, "--json").out)["candidate"] == number
    assert number in json.loads(emoprune("audit", *words, "--candidates", "3", "--json").out)["candidates"]
    both = emoprune("export", "done", "knee", "--min", "weight")
    assert (both.code, "found both; leave 'knee' out" in both.err) == (2, True)
    neither = emoprune("export", "done")
    assert (neither.code, "expected CANDIDATE, a number, 'knee' or 'best', or wishes" in neither.err) == (2, True)


def test_the_whole_front_is_exported_with_a_page_and_a_table(emoprune: Command, runs: Path) -> None:
    shown = emoprune("export", "done", "front", "--json")
    assert shown.code == 0
    found = json.loads(shown.out)
    frame = pd.read_csv(runs / "done" / "pareto.csv")
    members = frame.loc[frame["rank"] == 1, "candidate_id"].astype(str).tolist()
    assert list(found["candidates"]) == members
    for number in members:
        alone = json.loads(emoprune("export", "done", number, "--json").out)
        assert found["candidates"][number] == {"path": alone["path"], "verified": alone["verified"]}
    table = pd.read_csv(found["table"])
    assert table["folder"].astype(str).tolist() == members
    page = Path(found["page"]).read_text(encoding="utf-8")
    for number in members:
        assert f'<a href="{number}/">{number}</a>' in page
        for file in (runs / "done" / "exports" / number).iterdir():
            assert f'<a href="{number}/{file.name}">' in page
    assert "<script" not in page
    assert emoprune("doctor", "done").code == 0
