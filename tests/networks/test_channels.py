"""Channel pruning as a problem: its promises, its options, and that it prunes for real."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from networks_for_tests import network
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from emoprune import plugins
from emoprune.contracts import Failure, Problem, own_constraints_of
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.evaluation.scoring import LoadedImages, error_of
from emoprune.problems.networks.unpruned.built_in.digits import digits_network
from emoprune.records import Split
from emoprune.space import GeneKind, IntArray
from emoprune.testing import ProblemConformance

SMALL = {"network": "networks_for_tests:network", "data": "networks_for_tests:stripes", "calibration_images": 64}


def small(**options: Any) -> Channels:  # the options under test, of whatever type
    return Channels(**{**SMALL, **options})


@pytest.mark.usefixtures("unverified")  # TestDigits waits for the fresh process, with the same problem
class TestSmallNetwork(ProblemConformance):
    genomes = 3

    def problem(self) -> Problem:
        return small(objectives=["error", "parameters"], at_most={"error": 0.5, "macs-share": 0.7}, epochs=2)


class TestDigits(ProblemConformance):
    genomes = 2

    def problem(self) -> Problem:
        return Channels(epochs=1)


@pytest.fixture(scope="module")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the digits network's weights were made with seed 1."""
    made = tmp_path_factory.mktemp("digits")
    Channels().prepare(made, 1)
    return made


@pytest.fixture(scope="module")
def trained(digits_folder: Path) -> Channels:
    made = Channels()
    made.prepare(digits_folder, 1)
    made.setup("cpu", 1)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the small network's weights were made with seed 1."""
    made = tmp_path_factory.mktemp("small")
    small().prepare(made, 1)
    return made


def prepared(folder: Path, **options: Any) -> Channels:  # as above
    made = small(**options)
    made.prepare(folder, 1)
    made.setup("cpu", 1)
    return made


def rows(problem: Channels, genomes: IntArray, split: Split = Split.SEARCH) -> list[list[float]]:
    found = problem.evaluate(genomes, np.zeros(len(genomes), dtype=np.uint64), split)
    assert not any(isinstance(row, Failure) for row in found)
    return [list(row) for row in found if not isinstance(row, Failure)]


def reference(problem: Channels, name: str) -> IntArray:
    return next(each.genome for each in problem.references() if each.name == name)[np.newaxis]


# what is pruned, and how well


@pytest.mark.parametrize("split", list(Split))
def test_the_trained_digits_network_makes_few_errors_on_images_it_has_not_seen(trained: Channels, split: Split) -> None:
    ((error, macs),) = rows(trained, trained.space.full[np.newaxis], split)
    assert error < 0.03
    assert macs == trained.objectives[1].worst


def test_a_quarter_less_work_costs_little_error(trained: Channels) -> None:
    ((unpruned, full),) = rows(trained, trained.space.full[np.newaxis], Split.TEST)
    ((pruned, cost),) = rows(trained, reference(trained, "uniform-75"), Split.TEST)
    assert cost < 0.75 * full
    assert pruned < unpruned + 0.03


def test_the_unpruned_network_keeps_its_own_statistics(digits_folder: Path, trained: Channels) -> None:
    given = digits_network()
    given.load_state_dict(load_file(digits_folder / "weights.safetensors"))
    ((error, _),) = rows(trained, trained.space.full[np.newaxis], Split.TEST)
    assert error == error_of(given.eval(), LoadedImages.load(digits().test, "cpu"))


def test_estimating_statistics_anew_saves_most_of_what_slicing_alone_breaks(
    digits_folder: Path, trained: Channels
) -> None:
    network = digits_network()
    network.load_state_dict(load_file(digits_folder / "weights.safetensors"))
    structure = trace(network, (1, 8, 8))
    norms = [
        network.get_parameter(f"{group.name}.weight").detach().abs().flatten(1).sum(1) for group in structure.groups
    ]
    kept = [kept_units(norm.numpy(), 3 * len(norm) // 4) for norm in norms]
    sliced_only = error_of(pruned_module(network.eval(), structure, kept), LoadedImages.load(digits().test, "cpu"))
    ((reestimated, _),) = rows(trained, reference(trained, "uniform-75"), Split.TEST)
    assert isinstance(sliced_only, float)
    assert reestimated < 0.5 * sliced_only


def test_one_gene_per_layer_says_how_many_channels_stay(trained: Channels) -> None:
    assert trained.space.names == ("conv1", "conv2", "conv3", "conv4", "hidden")
    assert trained.space.of_kind(GeneKind.ORDERED).all()
    described = dict(trained.describe(np.array([0, 3, 7, 15, 1])))
    assert {name: described[name] for name in trained.space.names} == {
        "conv1": "2 of 32",
        "conv2": "8 of 32",
        "conv3": "32 of 64",
        "conv4": "64 of 64",
        "hidden": "8 of 64",
    }


def test_a_narrower_layer_never_costs_more(trained: Channels) -> None:
    genomes = np.random.default_rng(2).integers(0, trained.space.levels, (20, 5))
    wider = np.minimum(genomes + 1, trained.space.levels - 1)
    described = [[trained.describe(genome) for genome in each] for each in (genomes, wider)]
    for cost in ("macs", "parameters"):
        narrow, wide = (np.array([row[cost] for row in each]) for each in described)
        assert (narrow < wide).all()


def test_the_cost_of_a_row_is_the_cost_that_is_described(folder: Path) -> None:
    for cost in ("macs", "parameters", "bytes"):
        problem = prepared(folder, objectives=["error", cost])
        genomes = np.stack([each.genome for each in problem.references()])
        assert [row[1] for row in rows(problem, genomes)] == [problem.describe(genome)[cost] for genome in genomes]


def test_bounds_are_constraints_whose_values_follow_the_objectives(folder: Path) -> None:
    problem = prepared(folder, at_most={"error": 0.2, "macs-share": 0.5, "bytes": 9000})
    constraints = {constraint.name: constraint.bound for constraint in own_constraints_of(problem)}
    assert constraints == {"error-bound": 0.2, "macs-share-bound": 0.5, "bytes-bound": 9000}
    genomes = np.stack([problem.space.full, 0 * problem.space.full])
    for genome, (error, macs, bound_error, macs_share, stored) in zip(genomes, rows(problem, genomes), strict=True):
        assert bound_error == error
        assert macs_share == macs / (problem.objectives[1].worst or 0)
        assert stored == problem.describe(genome)["bytes"]


def test_without_bounds_there_are_no_constraints() -> None:
    assert own_constraints_of(small()) == ()


# weights: made once, the same for the same seed


def weights_made(folder: Path, seed: int, **options: Any) -> dict[str, torch.Tensor]:  # as above
    small(**options).prepare(folder, seed)
    return load_file(folder / "weights.safetensors")


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_network_of_ones_own_keeps_the_weights_it_comes_with(folder: Path) -> None:
    assert equal(dict(network().state_dict()), load_file(folder / "weights.safetensors"))


def test_given_weights_are_the_ones_that_are_pruned(tmp_path: Path) -> None:
    made = network()
    torch.nn.init.constant_(made.get_parameter("6.bias"), 0.125)
    save_file(made.state_dict(), tmp_path / "given.safetensors")
    found = weights_made(tmp_path, 1, weights=str(tmp_path / "given.safetensors"))
    assert found["6.bias"].tolist() == [0.125] * 3


@pytest.mark.parametrize(("seed", "options"), [(2, {}), (1, {"epochs": 1})])
def test_weights_made_by_another_recipe_are_refused(folder: Path, seed: int, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"weights\.safetensors was made from .*, expected .*; remove it"):
        small(**options).prepare(folder, seed)


def test_workers_get_weights_and_images_but_nothing_that_setup_loaded(folder: Path) -> None:
    problem = small()
    problem.prepare(folder, 1)
    before = len(pickle.dumps(problem))
    problem.setup("cpu", 1)
    assert len(pickle.dumps(problem)) == before


def test_the_fingerprint_tells_other_weights_and_other_data_apart(folder: Path, tmp_path: Path) -> None:
    other_weights = prepared(tmp_path / "weights", epochs=1)
    other_data = prepared(tmp_path / "data", data="networks_for_tests:brighter")
    prints = {prepared(folder).fingerprint(), other_weights.fingerprint(), other_data.fingerprint()}
    assert len(prints) == 3


# what goes wrong


def test_outputs_that_are_not_finite_are_a_failure_with_a_reason(tmp_path: Path) -> None:
    problem = small(data="networks_for_tests:overflowing")
    problem.prepare(tmp_path, 1)
    problem.setup("cpu", 1)
    (row,) = problem.evaluate(problem.space.full[np.newaxis], np.zeros(1, dtype=np.uint64), Split.SEARCH)
    assert row == Failure("the network's outputs are not finite")
    with pytest.raises(ContractError, match="the network's outputs for the test images are not finite"):
        problem.export(problem.space.full, tmp_path / "export")


def test_what_needs_weights_says_so_before_prepare() -> None:
    with pytest.raises(ContractError, match=r"call prepare\(folder, seed\) first"):
        small().references()


def test_evaluating_before_setup_says_so(folder: Path) -> None:
    problem = small()
    problem.prepare(folder, 1)
    with pytest.raises(ContractError, match=r"call setup\(device, threads\) first"):
        rows(problem, problem.space.full[np.newaxis])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"widths": 1}, "widths: expected at least 2 widths per coupling group, found 1"),
        ({"epochs": -1}, "epochs: expected 0 or more, found -1"),
        ({"calibration_images": 1}, "calibration_images: expected 2 to 64.*found 1"),
        ({"calibration_images": 65}, "calibration_images: expected 2 to 64.*found 65"),
        ({"at_most": {"error": 0.0}}, "at_most: error: expected a bound above 0, found 0.0"),
        ({"at_most": {"mac": 1}}, "at_most: no objective is called 'mac'; did you mean 'macs'"),
        ({"at_most": {"error-share": 0.5}}, "at_most: no measure is called 'error-share'"),
        (
            {"objectives": ["speed"]},
            "objectives: no objective is called 'speed'; `emoprune list objectives` names those there are",
        ),
        ({"objectives": []}, "objectives: expected one or more, each once"),
        ({"objectives": ["macs", "macs"]}, "objectives: expected one or more, each once"),
        ({"criterion": "l3"}, "no criterion is called 'l3'"),
        ({"compensation": "magic"}, "no compensation is called 'magic'"),
        ({"round_to": 0}, "round_to: expected 1 or more"),
        ({"smallest": 1.5}, "smallest: expected a share"),
        ({"ignore": ["*"]}, "no channels that can be pruned"),
        ({"ignore": ["nowhere"]}, "ignore: no layer of the network matches 'nowhere'"),
        ({"network": "resnet"}, "no network is called 'resnet'; expected 'digits', 'fashion-vgg'.*or an import target"),
        ({"data": "networks_for_tests:"}, "data: expected an import target such as"),
        ({"data": "no_such_module:images"}, "data: cannot import 'no_such_module'"),
        ({"network": "networks_for_tests:not_a_network"}, "to return a torch.nn.Module, found str"),
        ({"data": "networks_for_tests:not_a_network"}, "to return an ImageData; a mapping.*found a str"),
        ({"network": "networks_for_tests:three_outputs_too_few"}, "expected at least 3 outputs.*found 2"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        small(**options)


def test_the_parts_of_the_digits_share_no_image() -> None:
    made = digits()
    parts = [part.images.reshape(len(part), -1) for part in (made.train, made.search, made.select, made.test)]
    assert len(np.unique(np.concatenate(parts), axis=0)) == 1797


# as the engine meets it


def test_the_engine_builds_it_from_checked_options_and_refuses_unknown_ones() -> None:
    target = "emoprune.problems.networks.channels.problem:Channels"
    assert isinstance(plugins.build("problem", target, {**SMALL, "widths": 4}), Channels)
    with pytest.raises(ValidationError, match="widht"):
        plugins.build("problem", target, {**SMALL, "widht": 4})
    with pytest.raises(ValidationError, match="proxy"):
        plugins.build("problem", target, {**SMALL, "proxy": 3})
    with pytest.raises(ConfigError, match="proxy: no proxy is called 'seconds'"):
        plugins.build("problem", target, {**SMALL, "proxy": "seconds"})


def test_the_example_config_names_this_problem_and_only_options_it_has() -> None:
    text = (files("emoprune.problems.networks.examples") / "digits.yaml").read_text(encoding="utf-8")
    problem = yaml.safe_load(text)["problem"]
    assert problem.pop("name") == "channels"
    commented = {line.split(":")[0].removeprefix("  # ") for line in text.splitlines() if line.startswith("  # ")}
    assert "weights" in commented
    assert isinstance(Channels(**problem), Channels)


def test_the_examples_are_found_without_importing_torch() -> None:
    code = "import sys, emoprune.problems.networks.examples; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
