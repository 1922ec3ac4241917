"""A search made of stages: each a run of its own, side by side on the same workers, resumed in any of them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from problems_for_tests import Half, HalvedKnapsack, Knapsack12
from rich.console import Console
from searching_for_tests import copied_run

import emoprune
from emoprune.commands.dry_run import dry_run
from emoprune.commands.export import export
from emoprune.config import load
from emoprune.contracts.stages import Concluded, Next, Stage
from emoprune.errors import ConfigError, RunNotFound
from emoprune.records import Generation, Split, State
from emoprune.report.page import write_page
from emoprune.report.terminal import status_panel
from emoprune.run import Run

HALVED = "problems_for_tests:HalvedKnapsack"
RAN = ["worker", "seconds", "attempts"]


def config(**options: Any) -> dict[str, Any]:
    return {
        "problem": {"name": HALVED, "noise": 0.02, **options},
        "search": {"population": 8, "generations": 5, "seed": 3},
        "evaluation": {"backend": "serial", "chunk": 3},
    }


def finished(runs: Path, name: str) -> Run:
    return copied_run(config(), runs, name)


def facts(run: Run) -> list[object]:
    """Return everything of a run and its stages but who ran it and when."""
    return [
        (
            each.history.drop(columns=RAN).to_json(),
            each.generations.drop(columns="seconds").to_json(),
            each.pareto.drop(columns=["worker", "wall_s"]).to_json(),
            each.progress.state,
        )
        for each in (run, *run.stages.values())
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("whole"), "whole")


def test_stages_are_searched_first_and_their_fronts_make_the_space(whole: Run) -> None:
    assert list(whole.stages) == ["left", "right"]
    fronts = [len(stage.pareto) for stage in whole.stages.values()]
    assert [gene["levels"] for gene in whole.manifest["genes"]] == fronts
    assert whole.progress.state is State.FINISHED


def test_a_stage_is_a_run_with_its_own_settings_and_leaves_test_alone(whole: Run) -> None:
    left, right = whole.stages.values()
    assert left.history["generation"].max() == 3
    assert right.history["generation"].max() == 4
    assert right.manifest["seed"] == 9
    assert left.pareto["select.loss"].notna().all()
    assert left.pareto["test.loss"].isna().all()
    assert whole.pareto["test.loss"].notna().any()


def test_stages_take_turns_side_by_side(tmp_path: Path) -> None:
    turns = [(each.stage, each.index) for each in emoprune.search(config(), runs=tmp_path)]
    assert turns[:4] == [("left", 0), ("right", 0), ("left", 1), ("right", 1)]
    assert turns[-1] == (None, 4)


def test_starts_are_in_generation_0(whole: Run) -> None:
    origins = whole.history.groupby("generation")["origin"].unique()[0]
    assert {"reference:unpruned", "start", "initial"} == set(origins)


def test_what_led_from_the_stages_to_the_search_is_written_down(whole: Run) -> None:
    said = json.loads((whole.path / "stages.json").read_text(encoding="utf-8"))
    assert said["stages"] == ["left", "right"]
    assert [row["half"] for row in said["tables"]["halves"]] == ["left", "right"]


@pytest.mark.parametrize("turns", range(0, 14, 2))
def test_a_search_stopped_in_any_stage_and_resumed_ends_like_the_whole_one(
    tmp_path: Path, whole: Run, turns: int
) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="cut")
    for number, _ in enumerate(searching):
        if number == turns:
            searching.stop()
    cut = searching.run
    assert cut.progress.state is State.INTERRUPTED
    assert cut.progress.message == "stopped as asked; `emoprune resume` continues it"
    for _ in emoprune.resume(cut.path):
        pass
    assert facts(cut) == facts(whole)


def test_a_finished_stage_stays_as_it_is_when_the_search_gets_more_generations(tmp_path: Path, whole: Run) -> None:
    run = finished(tmp_path, "longer")
    for _ in emoprune.resume(run.path, overrides=["search.generations=7"]):
        pass
    assert [facts(run)[1:]] == [facts(whole)[1:]]
    assert run.history["generation"].max() > whole.history["generation"].max()


def test_a_stage_that_fails_as_a_whole_does_not_end_the_search(tmp_path: Path) -> None:
    searching = emoprune.search(config(broken=["left"]), runs=tmp_path, name="half")
    for _ in searching:
        pass
    run = searching.run
    assert any("stage left: all 6 evaluations of generation 0 failed" in warning for warning in searching.warnings)
    assert run.progress.stages["left"].startswith("failed: all 6 evaluations")
    said = json.loads((run.path / "stages.json").read_text(encoding="utf-8"))
    assert said["notes"][0].startswith("The left half failed: all 6 evaluations of generation 0 failed")
    assert run.progress.state is State.FINISHED
    assert len(run.pareto) > 1


def test_a_candidate_of_the_search_is_exported_after_the_stages(whole: Run) -> None:
    folder, said = export(whole, "knee")
    assert sum(json.loads((folder / "kept.json").read_text(encoding="utf-8"))) == said["items"]


def test_a_stage_is_not_exported_or_resumed_by_itself(whole: Run) -> None:
    left = whole.stages["left"]
    with pytest.raises(ConfigError, match=r"left is a stage of run whole; export from that one"):
        export(left, "knee")
    with pytest.raises(ConfigError, match=r"left is a stage of run whole; resume that one"):
        emoprune.resume(left.path)


def test_a_run_in_its_stages_has_no_candidates_yet(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="early")
    for _ in searching:
        searching.stop()
    with pytest.raises(RunNotFound, match="has no knee: its front is empty"):
        export(searching.run, "knee")


def test_a_dry_run_says_what_the_first_stages_will_take(tmp_path: Path) -> None:
    plan = dry_run(load(config()), tmp_path)
    assert plan["stages"]["left"]["evaluations"] == 24
    assert plan["stages"]["right"]["evaluations"] == 40
    assert plan["stages"]["left"]["genes"] == 6
    assert not list(tmp_path.iterdir())


class Misset(HalvedKnapsack):
    def following(self, concluded: Mapping[str, Concluded], folder: Path, seed: int) -> Next:
        half = Half(Knapsack12(), slice(0, 6))
        return Next([Stage("left", half, {"populations": 3, "generations": 0})])


def test_a_stage_with_settings_that_cannot_be_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)stage 'left'.*search.generations.*search.populations"):
        list(emoprune.search(config(), problem=Misset(), runs=tmp_path))


def test_concluded_holds_genomes_and_values_in_natural_signs(tmp_path: Path) -> None:
    seen: dict[str, Concluded] = {}

    class Watched(HalvedKnapsack):
        def following(self, concluded: Mapping[str, Concluded], folder: Path, seed: int) -> Next:
            seen.update(concluded)
            return super().following(concluded, folder, seed)

    problem = Watched()
    list(emoprune.search(config(), problem=problem, runs=tmp_path))
    left = seen["left"]
    again = problem.stage("left").evaluate(left.genomes, np.zeros(len(left), dtype=np.uint64), Split.SELECT)
    np.testing.assert_array_equal(left.select, again)
    assert next(iter(left.named)) == "unpruned"


def test_generations_of_stages_are_told_apart(tmp_path: Path) -> None:
    generations = list(emoprune.search(config(), runs=tmp_path))
    assert all(isinstance(each, Generation) for each in generations)
    frame = pd.Series([each.stage for each in generations]).fillna("whole").value_counts()
    assert frame["left"] == 4


def test_the_page_shows_stages_and_what_they_led_to(tmp_path: Path, whole: Run) -> None:
    page = write_page(whole, tmp_path / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('<script type="application/json" id="report-data">')[2].partition("</script>")[0])
    assert [front["name"] for front in data["stages"]["fronts"]] == ["left", "right"]
    assert data["stages"]["split"] == "select"
    assert data["stages"]["joint"]["ids"] == whole.pareto.loc[whole.pareto["rank"] == 1, "candidate_id"].tolist()[::-1]
    assert "stages/left/" in page
    assert '<h3 id="stages-table-1">halves</h3>' in page


def test_the_page_of_a_run_in_its_stages_can_be_written(tmp_path: Path) -> None:
    searching = emoprune.search(config(), runs=tmp_path, name="early")
    for _ in searching:
        searching.stop()
    page = write_page(searching.run, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No candidate is on the front yet" in page


def test_the_terminal_says_where_each_stage_stands(whole: Run) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(status_panel(whole, whole.progress))
    written = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, as given
    assert re.search(r"stage left +generation 3, 24 evaluations, front \d+, hypervolume", written)
