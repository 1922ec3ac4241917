"""A network searched part by part: whole runs, parts as problems, constraint training, export, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from searching_for_tests import searched_run
from torch import nn

import emoprune
from emoprune.commands.export import export
from emoprune.commands.inspection import inspect
from emoprune.commands.recovery import recover
from emoprune.config import load
from emoprune.contracts import Description, Problem, Reference, Rows, SeedArray, Split
from emoprune.contracts.stages import Concluded
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.subnetworks.joining import joined
from emoprune.problems.networks.subnetworks.problem import Subnetworks
from emoprune.problems.networks.subnetworks.training import Constraint, constrained
from emoprune.problems.networks.subnetworks.turns import Turns
from emoprune.report.page import write_page
from emoprune.run import Run
from emoprune.space import IntArray, Space
from emoprune.testing import ProblemConformance

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}
RAN = ["worker", "seconds", "attempts"]


def config(**options: Any) -> dict[str, Any]:
    return {
        "problem": {"name": "subnetworks", **SMALL, "epochs": 3, "parts": 2, "crossing": "searched", **options},
        "search": {"population": 6, "generations": 3, "seed": 2},
        "evaluation": {"backend": "serial"},
    }


def run_of(runs: Path, name: str, settings: Mapping[str, Any]) -> Run:
    return searched_run(settings, runs=runs, name=name)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("runs"), "searched", config())


def problem_of(searched: Run, **differing: Any) -> Subnetworks:
    """Return the problem of the finished run, set up."""
    options = {name: value for name, value in searched.config["problem"].items() if name != "name"}
    made = Subnetworks(**{**options, **differing})
    made.prepare(searched.path / "problem", 2)
    made.setup("cpu", 1)
    return made


@pytest.fixture
def problem(searched: Run) -> Subnetworks:
    """The problem of the finished run, set up."""
    return problem_of(searched)


def test_parts_are_stages_and_the_search_chooses_among_their_fronts(searched: Run) -> None:
    assert list(searched.stages) == ["part-1", "part-2", "crossing-1"]
    levels = [gene["levels"] for gene in searched.manifest["genes"]]
    assert [gene["name"] for gene in searched.manifest["genes"]] == list(searched.stages)
    assert min(levels) >= 2
    said = json.loads((searched.path / "stages.json").read_text(encoding="utf-8"))
    assert set(said["tables"]) == {"parts", "impairment ranking"}
    assert {"unpruned", "start"} <= {origin.rpartition(":")[2] for origin in searched.history["origin"]}


def test_every_front_of_a_part_is_measured_through_the_whole_network(searched: Run) -> None:
    unpruned = searched.pareto.loc[searched.pareto["name"] == "unpruned", "obj.macs"].item()
    for stage in searched.stages.values():
        assert stage.pareto["obj.macs"].max() == unpruned
        assert stage.pareto.loc[stage.pareto["name"] == "unpruned", "obj.error"].item() == pytest.approx(
            searched.pareto.loc[searched.pareto["name"] == "unpruned", "obj.error"].item()
        )


@pytest.mark.parametrize("rest", ["frozen", "adapted"])
def test_a_part_is_scored_as_the_plain_runner_scores_it(searched: Run, rest: str) -> None:
    problem = problem_of(searched, rest=rest)
    part = problem.stage("part-1")
    genome = part.space.full - (part.space.levels > 2)
    ((error, macs),) = part.evaluate(genome[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)  # type: ignore[misc]  # a row of numbers
    loaded, slicer = problem._loaded
    variant = slicer.variant_of(part.kept(genome))
    assert bool(part.frozen) == (rest == "frozen")
    plain = PlainRunner(loaded.bench, problem._task.estimate)
    (outputs,) = plain.outputs([replace(variant, frozen=part.frozen)], Split.SEARCH)
    wrong = outputs.argmax(1) != loaded.bench.images[Split.SEARCH].labels
    assert error == pytest.approx(float(wrong.double().mean()))
    assert macs == part.counted(genome)["macs"]


@pytest.mark.parametrize(
    ("turns", "genes", "joint"),
    [(5, "units", "members"), (9, "levels", "members"), (10, "units", "genes")],
)
def test_a_search_stopped_in_any_stage_and_resumed_ends_like_the_whole_one(
    searched: Run, tmp_path: Path, turns: int, genes: str, joint: str
) -> None:
    settings = config(genes=genes, joint=joint)
    by_default = (genes, joint) == ("levels", "members")
    whole = searched if by_default else run_of(tmp_path, "whole", settings)
    searching = emoprune.search(settings, runs=tmp_path, name="cut")
    for number, _ in enumerate(searching, start=1):
        if number == turns:
            searching.stop()
    for _ in emoprune.resume(searching.run.path):
        pass
    for one, other in zip(
        (whole, *whole.stages.values()), (searching.run, *searching.run.stages.values()), strict=True
    ):
        assert one.history.drop(columns=RAN).to_json() == other.history.drop(columns=RAN).to_json()


@pytest.fixture(scope="module", params=["levels", "units"])
def every_gene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = config(genes=request.param, joint="genes", crossing="whole")
    return run_of(tmp_path_factory.mktemp("every"), "every", settings)


def test_every_gene_of_the_network_is_searched_from_the_schemes_on(every_gene: Run) -> None:
    made = problem_of(every_gene)
    choices, full, starts = made._choices, made._task.structure.full, made.starts()
    assert choices is not None
    assert list(every_gene.stages) == ["part-1", "part-2"]
    assert len(made.space) == len(every_gene.manifest["genes"])
    for scheme, start in zip(choices.starts, starts[: len(choices.starts)], strict=True):
        for wanted, found in zip(choices.kept(scheme, full), made._units(start), strict=True):
            assert found.tolist() == wanted.tolist()
    shares = [len(made._units(start)[0]) / len(full[0]) for start in starts[len(choices.starts) :]]
    assert len(shares) == 9
    assert shares == sorted(shares, reverse=True)
    assert every_gene.history["origin"].str.startswith("start").sum() > 0


def test_channels_that_cross_a_cut_are_searched_with_every_gene(every_gene: Run) -> None:
    made = problem_of(every_gene)
    (crossing,) = set(range(3)) - {group for part in made._parts.parts for group in part.groups}
    bred = [each.candidate for each in every_gene.evaluations() if each.candidate.generation > 0]
    assert min(len(made._units(each.genome)[crossing]) for each in bred) < len(made._task.structure.full[crossing])
    named = {reference.name: reference.genome for reference in made.references()}
    assert len(made._units(named["uniform-25"])[crossing]) < len(made._task.structure.full[crossing])


def test_what_every_gene_led_to_is_exported_and_recovered(every_gene: Run) -> None:
    folder, said = export(every_gene, "knee", formats=["safetensors"])
    assert said["macs"] == every_gene.pareto[every_gene.pareto["knee"] == 1].iloc[0]["obj.macs"]
    assert (folder / "model.safetensors").is_file()
    found = recover(every_gene, "knee", options=["epochs=1", "rate=0.01", "formats=[safetensors]"])
    assert found["after"]["test"]["macs"] == said["macs"]


def test_parts_are_measured_on_so_many_images_that_lie_evenly_among_those_to_search_on(searched: Run) -> None:
    few, all_of_them = problem_of(searched, part_images=10), problem_of(searched)
    part = few.stage("part-1")
    genome = part.space.full - (part.space.levels > 2)
    seeds = np.zeros(1, dtype=np.uint64)
    ((error, _),) = part.evaluate(genome[np.newaxis], seeds, Split.SEARCH)  # type: ignore[misc]  # a row of numbers
    loaded, slicer = all_of_them._loaded
    (outputs,) = loaded.runner.outputs([slicer.variant_of(part.kept(genome))], Split.SEARCH)
    rows = torch.arange(10) * len(outputs) // 10
    wrong = outputs[rows].argmax(1) != loaded.bench.images[Split.SEARCH].labels[rows]
    assert error == pytest.approx(float(wrong.double().mean()))
    (several,), (whole,) = (
        each.stage("part-1").evaluate(genome[np.newaxis], seeds, Split.SELECT) for each in (few, all_of_them)
    )
    assert several == whole, "fronts are compared on all images to select on"
    joint = few.space.full
    assert few.evaluate(joint[np.newaxis], seeds, Split.SEARCH) == all_of_them.evaluate(
        joint[np.newaxis], seeds, Split.SEARCH
    )


def test_the_unpruned_part_has_no_divergence_on_fewer_images(searched: Run) -> None:
    problem = problem_of(searched, part_images=10, objectives=["kl", "macs"])
    part = problem.stage("part-1")
    genomes = np.stack([part.space.full, part.space.full - (part.space.levels > 2)])
    (whole, _), (less, _) = part.evaluate(genomes, np.zeros(2, dtype=np.uint64), Split.SEARCH)  # type: ignore[misc]  # rows of numbers
    assert whole == pytest.approx(0.0, abs=1e-5)
    assert less > 1e-4


def test_one_part_is_the_search_of_the_whole_network(tmp_path: Path) -> None:
    run = run_of(tmp_path, "one", config(parts=1))
    assert list(run.stages) == ["part-1"]
    assert run.manifest["genes"][0]["levels"] <= len(run.stages["part-1"].pareto)
    assert len(run.stages["part-1"].manifest["genes"]) == 3  # every coupling group
    assert run.progress.message == "every genome has been evaluated: the space is exhausted"


def test_a_part_that_failed_stays_unpruned_and_is_said(problem: Subnetworks, searched: Run) -> None:
    parts = [problem.stage(name) for name in searched.stages]
    nothing = {
        part.part.name: Concluded(
            np.zeros(0, dtype=np.int64),
            np.zeros((0, len(part.space)), dtype=np.int64),
            np.zeros((0, 2)),
            np.zeros((0, 2)),
            (),
            "all 6 evaluations of generation 0 failed",
        )
        for part in parts
    }
    found = joined(parts, nothing)
    assert [len(own) for own in found.members] == [1, 1, 1]
    assert found.starts.tolist() == [[0, 0, 0]]
    assert found.notes[0].startswith("part-1 stays unpruned, because its search failed: all 6 evaluations")
    free = joined(parts, nothing, free_at_last=True)
    assert free.notes[0].startswith("part-1 is pruned by the last search alone, because its search failed: all 6")


class Finished(Subnetworks):
    """Takes up what the parts of a finished run led to."""

    def __init__(self, choices: Path, **options: Any) -> None:
        super().__init__(**options)
        self._finished = choices

    def prepare(self, folder: Path, seed: int) -> None:
        shutil.copy(self._finished, folder / "choices.json")
        super().prepare(folder, seed)


class TestChoice(ProblemConformance):
    genomes = 2

    @pytest.fixture(autouse=True)
    def finished(self, searched: Run) -> None:
        type(self).run = searched  # type: ignore[attr-defined]  # set for `problem`, which takes no fixtures

    def problem(self) -> Problem:
        run: Run = type(self).run  # type: ignore[attr-defined]  # as above
        options = {name: value for name, value in run.config["problem"].items() if name != "name"}
        return Finished(run.path / "problem" / "choices.json", **options)


class OnePart:
    """A part as a problem that sets itself up."""

    def __init__(self, name: str, genes: str) -> None:
        options: dict[str, Any] = {**SMALL, "epochs": 1, "parts": 2, "genes": genes}
        self._whole, self._name = Subnetworks(**options), name

    def prepare(self, folder: Path, seed: int) -> None:
        self._whole.prepare(folder, seed)
        part = self._whole.stage(self._name)
        self.space: Space = part.space
        self.objectives = part.objectives

    def setup(self, device: str, threads: int) -> None:
        self._whole.setup(device, threads)

    def evaluate(self, genomes: IntArray, seeds: SeedArray, split: Split) -> Rows:
        return self._whole.stage(self._name).evaluate(genomes, seeds, split)

    def references(self) -> tuple[Reference, ...]:
        return self._whole.stage(self._name).references()

    def describe(self, genome: IntArray) -> Description:
        return self._whole.stage(self._name).describe(genome)

    def export(self, genome: IntArray, folder: Path) -> Description:
        (folder / "part.json").write_text(json.dumps(genome.tolist()), encoding="utf-8")
        return {"genes": len(genome)}


class TestPartOfLevels(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return OnePart("part-1", "levels")


class TestPartOfUnits(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return OnePart("part-2", "units")


def test_a_part_is_not_exported(problem: Subnetworks, tmp_path: Path) -> None:
    part = problem.stage("part-1")
    with pytest.raises(ConfigError, match="part-1 is a part of a network; export a candidate of the search itself"):
        part.export(part.space.full, tmp_path)


def test_a_part_is_set_up_with_the_whole_alone(problem: Subnetworks) -> None:
    with pytest.raises(ContractError, match="part-1: it is loaded with the whole network"):
        problem.stage("part-1").setup("cpu", 1)


def test_before_the_parts_are_searched_there_is_nothing_to_choose_from() -> None:
    options: dict[str, Any] = dict(SMALL)
    with pytest.raises(ContractError, match="the parts are not searched yet"):
        Subnetworks(**options).references()


def test_what_is_chosen_is_exported_in_its_measured_size(searched: Run) -> None:
    folder, said = export(searched, "knee", formats=["safetensors"])
    knee = searched.pareto[searched.pareto["knee"] == 1].iloc[0]
    assert said["macs"] == knee["obj.macs"]
    assert said["test error"] == pytest.approx(knee["test.error"], abs=1e-9)
    assert (folder / "model.safetensors").is_file()


def turns_of(problem: Subnetworks) -> Turns:
    return Turns(problem._task, problem._parts.chain, problem._parts.parts, *problem._loaded)


@pytest.mark.parametrize("order", ["together", "forward", "backward"])
def test_constraint_training_trains_every_part_and_nothing_that_lies_outside_of_its_turn(
    problem: Subnetworks, order: Any
) -> None:
    genome = problem.space.full
    kept = problem._units(genome)
    turns = turns_of(problem).of(kept, order)
    loaded = problem._loaded[0]
    training = TrainingImages.load(problem._task.data.train, "cpu")
    found = constrained(turns, loaded.bench, training, Plan(1.0, 0.05, 16), Constraint(1.0, order), seed=3)
    names = [{name.rpartition(".")[0] for name in turn.modules} for turn in turns]
    assert {name.rpartition(".")[0] for name in found} == {path for turn in turns for path in turn.modules}
    assert names
    for turn in turns:
        before = dict(turn.base.named_parameters())
        changed = [name for name in found if name in before and not torch.equal(found[name], before[name])]
        assert any(name.rpartition(".")[0] in turn.modules for name in changed)


def distance(problem: Subnetworks, weight: float, order: Any) -> float:
    """Return how far the first part's features are from the unpruned ones after training with this weight."""
    loaded, slicer = problem._loaded
    part = problem.stage("part-1")
    kept = part.kept(part.of_widths(np.array([3, 6, 8])))
    turns = turns_of(problem).of(kept, order)
    training = TrainingImages.load(problem._task.data.train, "cpu")
    plan = Plan(20.0, 0.02, 16)
    found = constrained(turns, loaded.bench, training, plan, Constraint(weight, order), seed=3)
    trained = slicer.variant_of(kept).network
    for name, tensor in found.items():
        trained.get_submodule(name.rpartition(".")[0])._parameters[name.rpartition(".")[2]] = nn.Parameter(tensor)
    images = training.images
    with torch.no_grad():
        gap = trained.get_submodule("first")(images) - loaded.bench.network.get_submodule("first")(images)
    return float(gap.square().mean())


@pytest.mark.parametrize("order", ["together", "forward"])
def test_the_feature_weight_holds_a_part_to_what_the_unpruned_part_puts_out(order: Any, tmp_path: Path) -> None:
    options: dict[str, Any] = {**SMALL, "network": "networks_for_tests:two_blocks", "epochs": 4, "cuts": ["first"]}
    made = Subnetworks(**options)
    made.prepare(tmp_path, 1)
    made.setup("cpu", 1)
    assert distance(made, 10.0, order) < 0.7 * distance(made, 0.0, order)


@pytest.mark.parametrize("method", ["constrained", "finetune", "distil"])
def test_a_candidate_is_recovered_in_every_way(searched: Run, method: str) -> None:
    options = ["epochs=2", f"method={method}", "rate=0.01", "formats=[safetensors]"]
    found = recover(searched, "knee", options=options)
    assert found["after"]["select"]["error"] <= found["before"]["select"]["error"] + 1e-9
    assert found["after"]["test"]["macs"] == found["before"]["test"]["macs"]
    assert f"({method})" in next(searched.path.glob("recovered/*/README.md")).read_text(encoding="utf-8")


def test_the_page_shows_parts_ranking_and_front_in_one_picture(searched: Run, tmp_path: Path) -> None:
    page = write_page(searched, tmp_path / "report.html").read_text(encoding="utf-8")
    data = json.loads(page.partition('<script type="application/json" id="report-data">')[2].partition("</script>")[0])
    assert [front["name"] for front in data["stages"]["fronts"]] == list(searched.stages)
    assert data["stages"]["starts"]["ids"]
    assert "impairment ranking" in page


def test_the_pre_flight_says_where_it_can_be_cut() -> None:
    found = inspect(load(config(crossing="whole")))
    assert [row["part"] for row in found["tables"]["parts"]] == ["part-1", "part-2"]
    assert found["tables"]["can be cut after"]
    assert "keep their full width, because they cross a cut" in found["notes"][0]
    free = inspect(load(config(crossing="whole", joint="genes")))
    assert "keep their full width until every gene is searched, because they cross a cut" in free["notes"][0]


def test_an_encoder_is_divided_between_its_blocks(tmp_path: Path) -> None:
    settings = config(
        network="networks_for_tests:encoder",
        parts=3,
        crossing="whole",
        ignore=["*.query", "*.key", "*.value"],
        compensation="least-squares",
    )
    run = run_of(tmp_path, "encoder", settings)
    assert list(run.stages) == ["part-1", "part-2", "part-3"]
    assert [gene["name"] for stage in run.stages.values() for gene in stage.manifest["genes"]] == [
        "blocks.0.widen",
        "blocks.1.widen",
        "blocks.2.widen",
    ]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"parts": 7}, "cannot be cut into 7 parts with something to prune in each; it can be cut after"),
        ({"parts": 0}, "parts: expected 1 or more, found 0"),
        ({"part_images": 0}, "part_images: expected 1 to [0-9]+, all of the search images, found 0"),
        ({"part_images": 10**6}, "all of the search images, found 1000000"),
        ({"cuts": ["0.9"]}, "cuts: the network's forward runs no module '0.9'"),
        ({"objectives": ["error", "loss"]}, "objectives: expected one of macs, parameters, bytes among them"),
        ({"objectives": ["macs", "bytes"]}, "objectives: expected one of error, loss, kl among them"),
    ],
)
def test_what_cannot_be_divided_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Subnetworks(**{**SMALL, **options})


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("feature_weight=-1", "feature_weight: expected 0 or a positive number"),
        ("order=sideways", "one of 'together', 'forward', 'backward'"),
    ],
)
def test_recovery_options_that_cannot_be_are_refused(searched: Run, option: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        recover(searched, "knee", options=["epochs=1", option])
