"""References on networks of every kind: legal, within their target, repeatable, and what each method is known for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from zoo_for_tests import SOUND, structure_of_zoo, zoo

from emoprune import plugins
from emoprune.config import SearchSettings
from emoprune.contracts import FloatArray, Found, MeasuredErrors, Reference, ReferenceMethod, SurveyingMethod
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.channels.references.catalogue import BY_DEFAULT, first_references
from emoprune.problems.networks.channels.references.eagle_eye import BAND, EagleEye
from emoprune.problems.networks.channels.references.global_magnitude import GlobalMagnitude
from emoprune.problems.networks.channels.references.inputs import Cost, ReferenceInputs
from emoprune.problems.networks.channels.references.layers import Layers
from emoprune.problems.networks.channels.widths import WidthLevels
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.storage.found_references import measuring, picked_by
from emoprune.problems.storage.kept_references import as_json, from_json
from emoprune.space import IntArray

MEASURING = ("sensitivity", "eagle-eye")
METHODS = tuple(
    name for name, own in plugins.serving("reference", "channels").items() if plugins.serves(own.load(), "channels")
)


def methods_of(given: Sequence[str | dict[str, Any]]) -> dict[str, ReferenceMethod[ReferenceInputs]]:
    return plugins.methods("reference", given, "channels", option="references")


def made(name: str, **options: Any) -> Any:
    """Return a method, made with options."""
    return methods_of([{"name": name, **options}])[name]


@cache
def cost_model_of(name: str) -> CostModel:
    return CostModel.of(zoo(name), structure_of_zoo(name))


def norms_of(network: torch.nn.Module, name: str) -> tuple[np.ndarray, ...]:
    """Return the L2 norm of each unit's weights in the layer that puts it out first."""
    found = []
    for group in structure_of_zoo(name).groups:
        part = structure_of_zoo(name).part(group.producers[0])
        weight = network.get_parameter(f"{part.path}.weight").double().numpy()
        weight = weight.swapaxes(0, 1) if part.kind.startswith("ConvTranspose") else weight
        squares = np.zeros(group.units)
        np.add.at(squares, part.outgoing.units, np.square(weight).reshape(len(weight), -1).sum(axis=1))
        found.append(np.sqrt(squares))
    return tuple(found)


def inputs_of(
    name: str, seed: int = 0, *, steps: int = 16, round_to: int = 1, smallest: float = 0.0, cost: Cost = "macs"
) -> ReferenceInputs:
    structure, network = structure_of_zoo(name), zoo(name)
    levels = WidthLevels.of(structure.groups, steps, round_to, smallest)
    model, rng = cost_model_of(name), np.random.default_rng(seed)
    return ReferenceInputs(structure, model, levels, norms_of(network, name), network, rng=rng, cost=cost)


def picked(
    method: ReferenceMethod[ReferenceInputs], inputs: ReferenceInputs, measure: MeasuredErrors | None = None
) -> Found:
    """Return what a method picks at once and after measuring what it wants measured."""
    first = method.found(inputs)
    if not isinstance(method, SurveyingMethod):
        return first
    then = method.picked(inputs, first.starts, measure or narrowness(inputs.levels))
    return Found((*first.references, *then.references), notes=(*first.notes, *then.notes))


def every_reference(
    given: Sequence[str | dict[str, Any]], inputs: ReferenceInputs, measure: MeasuredErrors | None = None
) -> list[Reference]:
    """Return the references of methods that a config names, those that are measured for included."""
    methods = methods_of(given)
    first, starts = first_references(methods, inputs)
    return [*first, *picked_by(methods, inputs, starts, measure or narrowness(inputs.levels))]


def narrowness(levels: WidthLevels) -> Callable[[IntArray], FloatArray]:
    """Measure an error that grows with every unit that goes, faster in later groups."""
    weights = np.arange(1, len(levels.full) + 1) / np.array(levels.full)

    def measure(genomes: IntArray) -> FloatArray:
        return (np.array(levels.full) - levels.decode(genomes)) @ weights

    return measure


def shares_of(inputs: ReferenceInputs, found: Found) -> dict[str, float]:
    return {
        reference.name: float(inputs.costs(reference.genome[np.newaxis])[0]) / inputs.unpruned_cost
        for reference in found.references
    }


def widths_of(inputs: ReferenceInputs, found: Found) -> dict[str, list[int]]:
    genomes = {reference.name: reference.genome[np.newaxis] for reference in found.references}
    return {name: inputs.levels.decode(genome)[0].tolist() for name, genome in genomes.items()}


@pytest.mark.parametrize("round_to", [1, 4])
@pytest.mark.parametrize("name", list(SOUND))
def test_every_reference_is_legal_and_costs_at_most_its_target_or_says_so(name: str, round_to: int) -> None:
    inputs = inputs_of(name, round_to=round_to)
    eagle_eye = {"name": "eagle-eye", "tries": 2000, "candidates": 8}
    references = every_reference([*BY_DEFAULT, "sensitivity", eagle_eye], inputs)
    genomes = inputs.levels.space.check([reference.genome for reference in references], "references")
    assert (inputs.levels.decode(genomes) >= 1).all()
    shares = inputs.costs(genomes) / inputs.unpruned_cost
    assert references[0].name == "unpruned"
    assert shares[0] == 1
    assert (inputs.levels.decode(genomes)[0] == inputs.levels.full).all()
    for reference, share in zip(references[1:], shares[1:], strict=True):
        method, percentage = reference.name.removesuffix("-floor").removesuffix("-off-band").rsplit("-", 1)
        assert method in METHODS
        target = int(percentage) / 100
        if reference.name.endswith("-floor"):
            assert share > target
        elif reference.name.endswith("-off-band"):
            assert abs(share - target) > BAND
        elif method == "eagle-eye":
            assert abs(share - target) <= BAND + 1e-9
        else:
            assert share <= target


@pytest.mark.parametrize("cost", ["macs", "parameters", "bytes"])
def test_targets_are_shares_of_the_chosen_cost(cost: Cost) -> None:
    inputs = inputs_of("resnet", cost=cost)
    for name in BY_DEFAULT:
        shares = shares_of(inputs, made(name, percentages=[60, 30]).found(inputs))
        assert list(shares) == [f"{name}-60", f"{name}-30"]
        assert shares[f"{name}-30"] <= 0.3
        assert 0.3 < shares[f"{name}-60"] <= 0.6


@pytest.mark.parametrize("name", ["vgg", "mobilenet", "regnet"])
def test_a_uniform_genome_is_the_widest_uniform_one_within_its_target(name: str) -> None:
    inputs = inputs_of(name)
    for reference in made("uniform").found(inputs).references:
        percentage = int(reference.name.removeprefix("uniform-"))
        full = np.array(inputs.levels.full)
        every = inputs.genomes_of_shares(np.repeat(np.linspace(0, 1, 2001)[:, np.newaxis], len(full), axis=1))
        costs = inputs.costs(every)
        widest = costs[costs * 100 <= percentage * inputs.unpruned_cost].max()
        assert inputs.costs(reference.genome[np.newaxis])[0] == widest


def test_the_same_generator_gives_the_same_references_and_another_one_other_random_ratios() -> None:
    def names_and_genomes(seed: int, names: tuple[str, ...] = METHODS) -> dict[str, list[int]]:
        references = every_reference(names, inputs_of("vgg", seed))
        return {reference.name: reference.genome.tolist() for reference in references}

    first = names_and_genomes(3)
    assert names_and_genomes(3) == first
    assert names_and_genomes(4)["random-50"] != first["random-50"]
    # a method draws for itself, whichever others there are
    assert names_and_genomes(3, ("eagle-eye", "random"))["random-50"] == first["random-50"]


def test_random_ratios_are_drawn_anew_for_each_target() -> None:
    inputs = inputs_of("mobilenet")
    first, second = made("random", percentages=[50, 49]).found(inputs).references
    assert (second.genome > first.genome).any()  # along one draw, the smaller target would keep no more anywhere


def test_references_that_come_out_equal_appear_once_under_their_first_name() -> None:
    inputs = inputs_of("vgg", steps=2)
    given = [{"name": name, "percentages": [20, 19]} for name in ("uniform", "pyramidal")]
    references = every_reference(given, inputs)
    keys = [inputs.levels.space.key(reference.genome) for reference in references]
    assert len(keys) == len(set(keys))
    assert [reference.name for reference in references][:2] == ["unpruned", "uniform-20-floor"]


def test_a_target_below_the_narrowest_genome_is_named_a_floor_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    inputs = inputs_of("resnet", smallest=0.6)
    with caplog.at_level(logging.INFO, logger="emoprune"):
        references = every_reference([{"name": "uniform", "percentages": [20]}], inputs)
    assert [reference.name for reference in references] == ["unpruned", "uniform-20-floor"]
    assert references[1].genome.tolist() == [0, 0, 0, 0]
    assert "uniform-20: no less than 39.9%" in caplog.text
    assert "of the macs can be reached" in caplog.text


def test_global_magnitude_takes_from_the_group_of_small_scores_and_keeps_the_floor_of_each() -> None:
    inputs, method = inputs_of("vgg"), GlobalMagnitude(percentages=(40,), floor=0.1)
    small = replace(inputs, scores=(*(np.ones(units) for units in (8, 12, 12)), np.r_[1.0, np.full(15, 1e-6)]))
    assert method.floors_of_groups(inputs).tolist() == [5, 5, 5, 5]  # a tenth of 48 units
    widths = widths_of(small, method.found(small))["global-magnitude-40"]
    assert widths[3] == 5
    assert min(widths) >= 5
    other_units = replace(small, scores=(1000 * small.scores[0], *small.scores[1:]))
    assert widths_of(other_units, method.found(other_units))["global-magnitude-40"] == widths


def test_groups_smaller_than_the_floor_of_global_magnitude_stay_whole() -> None:
    inputs, method = inputs_of("vgg"), GlobalMagnitude(percentages=(40,), floor=0.2)  # 10 of 48 units
    assert method.floors_of_groups(inputs).tolist() == [8, 10, 10, 10]
    widths = widths_of(inputs, method.found(inputs))
    assert widths == {"global-magnitude-40-floor": [8, 10, 10, 10]}


def test_a_group_keeps_the_mean_of_the_layers_that_put_it_out_weighted_by_their_weights() -> None:
    layers = Layers.of(inputs_of("resnet"))
    own = {path: row.tolist() for path, row in zip(layers.paths, layers.producing, strict=True)}
    assert own["stem.0"] == [72, 0, 0, 0]
    assert own["block1.second.0"] == [576, 0, 0, 0]
    assert own["block2.shortcut.0"] == [0, 0, 0, 128]
    assert own["head"] == [0, 0, 0, 0]
    densities = np.where(np.array(layers.paths) == "stem.0", 1.0, 0.1)[np.newaxis]
    assert layers.shares_of_groups(densities)[0].tolist() == pytest.approx([(72 + 57.6) / 648, 0.1, 0.1, 0.1])


def test_erk_spares_the_small_layers_and_a_pyramid_the_first_ones() -> None:
    inputs = inputs_of("vgg")
    found = {name: made(name, percentages=[40]).found(inputs) for name in ("erk", "pyramidal")}
    shares = {name: np.array(widths_of(inputs, own)[f"{name}-40"]) for name, own in found.items()}
    erk, pyramidal = shares["erk"] / (8, 12, 12, 16), shares["pyramidal"] / (8, 12, 12, 16)
    assert erk[0] == 1
    assert erk[0] > erk[1] >= erk[2]
    assert (np.diff(pyramidal) < 0).all()


def test_pq_ratios_prune_most_where_a_few_weights_hold_everything() -> None:
    inputs = inputs_of("vgg")
    with torch.no_grad():
        weight = inputs.network.get_parameter("2.0.weight")
        weight.fill_(1e-4)
        weight[:2] = 1.0
    planted = replace(inputs, scores=norms_of(inputs.network, "vgg"))
    for name in ("pq-0_5-1", "pq-1-2"):
        widths = np.array(widths_of(planted, made(name, percentages=[60]).found(planted))[f"{name}-60"])
        shares = widths / (8, 12, 12, 16)
        assert shares[1] < min(shares[0], *shares[2:]) - 0.2


def test_pq_ratios_of_a_network_whose_weights_are_all_alike_are_left_out_with_a_note() -> None:
    inputs = inputs_of("vgg")
    with torch.no_grad():
        for parameter in inputs.network.parameters():
            parameter.fill_(0.5)
    found = made("pq-1-2").found(inputs)
    assert found.references == ()
    assert found.notes == ("pq-1-2: left out, because all weights of each layer have one size; nothing ranks them",)


def test_a_group_whose_pruning_costs_nothing_is_pruned_first() -> None:
    inputs = inputs_of("vgg")
    with torch.no_grad():  # nothing listens to the second half of the second group's units
        inputs.network.get_parameter("4.0.weight")[:, 6:] = 0
    scores = (*inputs.scores[:1], np.arange(12.0, 0.0, -1.0), *inputs.scores[2:])
    planted = replace(inputs, scores=scores)
    found = picked(made("sensitivity", percentages=[80]), planted, change_of_outputs(inputs, scores))
    widths = widths_of(planted, found)["sensitivity-80"]
    assert widths[1] < 12
    assert [widths[0], *widths[2:]] == [8, 12, 16]
    assert widths[1] >= 6


def change_of_outputs(inputs: ReferenceInputs, scores: tuple[np.ndarray, ...]) -> Callable[[IntArray], FloatArray]:
    """Measure by how much really sliced networks' outputs differ from the unpruned one's, on a few random images."""
    from emoprune.problems.networks.coupling.pruned_module import pruned_module
    from emoprune.problems.networks.criteria.ranking import kept_units

    images = torch.randn((4, 1, 28, 28), generator=torch.Generator().manual_seed(0))
    unpruned = inputs.network(images)

    def difference(widths: IntArray) -> float:
        kept = [kept_units(own, int(width)) for own, width in zip(scores, widths, strict=True)]
        return float((pruned_module(inputs.network, inputs.structure, kept)(images) - unpruned).abs().mean())

    return lambda genomes: np.array([difference(widths) for widths in inputs.levels.decode(genomes)])


@pytest.mark.parametrize("name", ["vgg", "regnet"])
def test_sensitivity_wants_each_width_of_each_group_measured_alone(name: str) -> None:
    inputs = inputs_of(name)
    (alone,) = made("sensitivity").found(inputs).starts.values()
    expected = sum(len(widths) - 1 for widths in inputs.levels.table)
    assert len(alone) == len({tuple(genome) for genome in alone.tolist()}) == expected
    assert ((alone < inputs.unpruned).sum(axis=1) == 1).all()


def test_sensitivity_takes_a_width_only_after_all_wider_ones_of_its_group() -> None:
    inputs = inputs_of("vgg")

    def measure(genomes: IntArray) -> FloatArray:
        widths = inputs.levels.decode(genomes)
        # The first group pays for its first unit, then seems to get some of it back; all others pay more.
        first = np.select([widths[:, 0] == 8, widths[:, 0] == 7], [0.0, 0.5], 0.1)
        return first + 0.4 * (widths[:, 1:] < (12, 12, 16)).any(axis=1)

    widths = widths_of(inputs, picked(made("sensitivity", percentages=[90]), inputs, measure))["sensitivity-90"]
    assert widths[0] == 8


def test_sensitivity_calls_a_width_free_if_a_narrower_one_is() -> None:
    inputs = inputs_of("vgg")

    def measure(genomes: IntArray) -> FloatArray:
        widths = inputs.levels.decode(genomes)
        spike = np.where(widths[:, 1] == 10, 0.9, 0.0)
        return spike + (widths[:, [0, 2, 3]] < (8, 12, 16)).any(axis=1)

    widths = widths_of(inputs, picked(made("sensitivity", percentages=[85]), inputs, measure))["sensitivity-85"]
    assert widths == [8, 9, 12, 16]


def test_sensitivity_never_prefers_a_width_that_cannot_be_measured() -> None:
    inputs = inputs_of("vgg")
    plain = narrowness(inputs.levels)

    def measure(genomes: IntArray) -> FloatArray:
        return np.where(inputs.levels.decode(genomes)[:, 0] < 8, np.inf, plain(genomes))

    widths = widths_of(inputs, picked(made("sensitivity", percentages=[60]), inputs, measure))["sensitivity-60"]
    assert widths[0] == 8
    nothing = picked(made("sensitivity"), inputs, lambda genomes: np.full(len(genomes), np.inf))
    assert nothing.references == ()
    assert nothing.notes == ("sensitivity: left out, because the unpruned network could not be measured",)


def test_eagle_eye_takes_the_best_measured_of_enough_candidates_in_the_band() -> None:
    inputs, method = inputs_of("mobilenet"), EagleEye(percentages=(50,), candidates=30)
    (inside,) = method.found(inputs).starts.values()
    assert len(inside) == len({tuple(genome) for genome in inside.tolist()}) == 30
    assert (abs(inputs.costs(inside) / inputs.unpruned_cost - 0.5) <= BAND + 1e-9).all()
    measure = narrowness(inputs.levels)
    (reference,) = method.picked(inputs, {"eagle-eye-50": inside}, measure).references
    assert reference.name == "eagle-eye-50"
    assert reference.genome.tolist() == inside[measure(inside).argmin()].tolist()


def test_eagle_eye_ends_and_says_so_when_nothing_is_in_the_band(caplog: pytest.LogCaptureFixture) -> None:
    inputs = inputs_of("vgg", steps=2)
    every = np.array(np.meshgrid(*[range(2)] * 4)).reshape(4, -1).T
    off = abs(inputs.costs(every) / inputs.unpruned_cost - 0.6)
    assert off.min() > BAND
    with caplog.at_level(logging.INFO, logger="emoprune"):
        methods = methods_of([{"name": "eagle-eye", "percentages": [60], "tries": 3000, "candidates": 8}])
        references, starts = first_references(methods, inputs)
    assert starts == {}
    assert [reference.name for reference in references] == ["unpruned", "eagle-eye-60-off-band"]
    assert references[1].genome.tolist() == every[off.argmin()].tolist()
    assert "0 of 8 candidates within 0.005 of the target after 3000 tries" in caplog.text


def test_eagle_eye_leaves_out_what_cannot_be_measured() -> None:
    inputs, method = inputs_of("mobilenet"), EagleEye(percentages=(50,), candidates=8)
    plain = narrowness(inputs.levels)

    def measure(genomes: IntArray) -> FloatArray:
        return np.where(genomes[:, 0] % 2, np.inf, plain(genomes))

    assert picked(method, inputs, measure).references[0].genome[0] % 2 == 0
    found = picked(method, inputs, lambda genomes: np.full(len(genomes), np.inf))
    assert found.references == ()
    assert found.notes == ("eagle-eye-50: left out, because none of its 8 candidates could be measured",)


def test_only_methods_that_are_named_measure_and_those_by_default_fit_a_generation() -> None:
    assert sorted(measuring(methods_of(METHODS))) == sorted(MEASURING)
    references, starts = first_references(methods_of(BY_DEFAULT), inputs_of("vgg"))
    assert starts == {}
    assert len(references) <= SearchSettings().population


def test_an_unknown_or_repeated_method_or_option_is_refused_before_anything_is_made() -> None:
    with pytest.raises(ConfigError, match="references: no reference is called 'pyramid'; did you mean 'pyramidal'"):
        methods_of(("sensitivity", "pyramid"))
    with pytest.raises(ConfigError, match="expected each once, found 'erk' again"):
        methods_of(("erk", {"name": "erk", "percentages": [30]}))
    with pytest.raises(ConfigError, match="expected a name, or a mapping with a name and options"):
        methods_of(({"candidates": 3},))
    with pytest.raises(ConfigError, match=r"reference 'eagle-eye': candidate: .*did you mean 'candidates'"):
        methods_of(({"name": "eagle-eye", "candidate": 3},))
    with pytest.raises(ConfigError, match=r"reference 'eagle-eye': candidates: expected an integer, found 'many'"):
        methods_of(({"name": "eagle-eye", "candidates": "many"},))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "erk", "percentages": [50, 100]}, "percentages: expected whole numbers from 1 to 99"),
        ({"name": "erk", "percentages": [50, 50]}, "percentages: .* each once"),
        ({"name": "erk", "percentages": []}, "percentages: expected whole numbers from 1 to 99"),
        ({"name": "global-magnitude", "floor": 1.5}, "floor: expected a share from 0 to 1, found 1.5"),
        ({"name": "eagle-eye", "candidates": 0}, "candidates: expected at least 1"),
        ({"name": "eagle-eye", "candidates": 10, "tries": 9}, "at least as many tries, found 10 and 9"),
        ({"name": "eagle-eye", "percentages": [0]}, "percentages: expected whole numbers from 1 to 99"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        methods_of([options])


def test_a_cost_that_is_not_counted_is_refused() -> None:
    with pytest.raises(ConfigError, match="cost: nothing is counted as 'mac'; did you mean 'macs'"):
        replace(inputs_of("vgg"), cost="mac")


def test_scores_of_another_network_are_refused() -> None:
    inputs = inputs_of("vgg")
    with pytest.raises(ContractError, match="expected levels and scores of coupling groups of"):
        replace(inputs, scores=inputs.scores[:-1])


def test_references_survive_being_written_as_json_and_read_back() -> None:
    inputs = inputs_of("vgg")
    references, starts = first_references(methods_of(("erk", "sensitivity", "eagle-eye")), inputs)
    read, to_measure = from_json(json.loads(json.dumps(as_json(references, starts))), inputs.levels.space)
    assert [each.name for each in read] == [each.name for each in references]
    assert all((one.genome == other.genome).all() for one, other in zip(read, references, strict=True))
    assert {name: list(own) for name, own in to_measure.items()} == {
        "sensitivity": ["alone"],
        "eagle-eye": ["eagle-eye-75", "eagle-eye-50", "eagle-eye-25"],
    }
    for name, own in starts.items():
        for label, genomes in own.items():
            np.testing.assert_array_equal(genomes, to_measure[name][label])
