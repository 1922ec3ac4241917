"""Each criterion's numbers against hand-made ones, and against a second way to compute the same thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from zoo_for_tests import images_for, structure_of_zoo, zoo

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.activations import activations_of
from emoprune.problems.networks.calibration.contributions import (
    ContributionsByMoments,
    ContributionsByOutputs,
    blocks_of,
    contributions,
)
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.gradients import gate_gradients_of
from emoprune.problems.networks.calibration.hooks import readers, watched
from emoprune.problems.networks.coupling.structure import FIXED, CouplingGroup, Part, Structure, Wiring
from emoprune.problems.networks.criteria.activation_mean import ActivationMean
from emoprune.problems.networks.criteria.apoz import APoZ
from emoprune.problems.networks.criteria.batch_norm_scale import BatchNormScale
from emoprune.problems.networks.criteria.fisher import Fisher
from emoprune.problems.networks.criteria.geometric_median import GeometricMedian, removal_heights
from emoprune.problems.networks.criteria.lamp import LAMP, lamp_scores
from emoprune.problems.networks.criteria.next_layer import NextLayerReconstruction
from emoprune.problems.networks.criteria.norms import L1, L2
from emoprune.problems.networks.criteria.per_unit import averaged, shares, units_by_part
from emoprune.problems.networks.criteria.taylor import Taylor
from emoprune.problems.networks.evaluation.scoring import LoadedImages


def wiring(groups: list[int], units: list[int]) -> Wiring:
    return Wiring(np.array(groups), np.array(units))


def two_layers() -> Evidence:
    """Three hidden units between two inputs and two classes, and two images: all numbers can be had by hand.

    The hidden activations are (1, 2, 0) for the first image and (0, 3, 1) for the second one.
    """
    network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False)).double().eval()
    network.requires_grad_(requires_grad=False)
    network.get_submodule("0").weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    network.get_submodule("2").weight.copy_(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]))
    hidden, fixed = wiring([0, 0, 0], [0, 1, 2]), wiring([FIXED] * 2, [0, 0])
    parts = (Part("0", "Linear", fixed, hidden, positions=1), Part("2", "Linear", hidden, fixed, positions=1))
    structure = Structure((2,), 2, (CouplingGroup("0", 3, (("0", "out"), ("2", "in"))),), parts)
    images = torch.tensor([[1.0, 2.0], [-1.0, 3.0]], dtype=torch.float64)
    return Evidence(network, structure, LoadedImages(torch.split(images, 1), torch.tensor([0, 1])), 0)


HIDDEN = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0]])
OUT = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]])


def changes_of_the_loss() -> np.ndarray:
    """Return activation times gradient of each image and hidden unit, by hand: softmax minus the label's one."""
    logits = HIDDEN @ OUT.T
    gradient = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(2)
    return HIDDEN * (gradient @ OUT)


# ---- by hand


def test_norms_are_those_of_a_units_weights() -> None:
    evidence = two_layers()
    evidence.network.get_submodule("0").weight[1] = torch.tensor([3.0, -4.0])
    assert L1()(evidence)[0].tolist() == [1, 7, 1]
    assert L2()(evidence)[0].tolist() == [1, 5, 1]


def test_the_mean_activation_is_a_share_of_the_groups() -> None:
    np.testing.assert_allclose(ActivationMean()(two_layers())[0], np.array([0.5, 2.5, 0.5]) / 3.5)


def test_apoz_is_one_minus_the_share_of_zeros() -> None:
    assert APoZ()(two_layers())[0].tolist() == [0.5, 1.0, 0.5]


def test_next_layer_reconstruction_is_the_share_of_the_squares_that_a_unit_adds_to_the_next_outputs() -> None:
    # Squared activations 1, 4 + 9, 1 times squared outgoing weights 1, 5, 1.
    np.testing.assert_allclose(NextLayerReconstruction()(two_layers())[0], np.array([1, 65, 1]) / 67)


def test_taylor_is_the_mean_absolute_change_of_each_images_loss() -> None:
    np.testing.assert_allclose(Taylor()(two_layers())[0], np.abs(changes_of_the_loss()).mean(axis=0))


def test_fisher_is_half_the_mean_square_of_the_same_change() -> None:
    np.testing.assert_allclose(Fisher()(two_layers())[0], np.square(changes_of_the_loss()).mean(axis=0) / 2)


def test_a_lamp_score_is_a_square_over_the_sum_of_the_squares_that_are_not_smaller() -> None:
    np.testing.assert_allclose(lamp_scores(np.array([3.0, -1.0, 2.0])), [1, 1 / 14, 4 / 13])
    np.testing.assert_allclose(lamp_scores(np.array([[2.0, -2.0], [2.0, 0.0]])), [[1 / 3, 1 / 3], [1 / 3, 0]])
    assert lamp_scores(np.zeros((2, 3))).tolist() == [[0.0] * 3] * 2


@given(arrays(np.float64, (3, 4), elements=st.floats(-9, 9).map(lambda value: round(value, 2))))
def test_the_largest_weight_of_a_layer_has_the_lamp_score_of_its_ties_and_order_follows_size(
    weight: np.ndarray,
) -> None:
    scores = lamp_scores(weight)
    assert ((scores >= 0) & (scores <= 1)).all()
    sizes = np.abs(weight).ravel()
    if sizes.max() > 0:
        assert scores.max() == pytest.approx(1 / (sizes == sizes.max()).sum())
    order = np.argsort(sizes, kind="stable")
    # Of equal sizes, all scores are equal; the next larger size never scores less unless many share it.
    for size in np.unique(sizes):
        assert np.ptp(scores.ravel()[sizes == size]) == 0
    if len(np.unique(sizes)) == len(sizes):
        assert (np.diff(scores.ravel()[order]) >= 0).all()


def test_a_units_lamp_score_is_the_sum_over_its_weights_in_all_producers() -> None:
    evidence = two_layers()
    assert LAMP()(evidence)[0].tolist() == [1 / 3] * 3


def test_the_unit_amid_the_others_goes_first_and_then_no_longer_counts() -> None:
    distances = np.abs(np.subtract.outer([0.0, 1.0, 3.0, 9.0], [0.0, 1.0, 3.0, 9.0]))
    heights = removal_heights(distances)
    # Mean distances: 13/3, 11/3, 11/3, 23/3; without the second one 6, -, 4.5, 7.5, so the third one goes next.
    assert heights[1] == pytest.approx(11 / 3)
    assert heights[2] == pytest.approx(4.5)
    assert heights[0] == pytest.approx(9)
    assert np.argsort(heights).tolist()[:2] == [1, 2]


def test_distances_are_measured_once_if_so_wanted() -> None:
    evidence = two_layers()
    evidence.network.get_submodule("0").weight[:] = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    # Distances 1, 2 and 3 with mean 2; each unit's mean distance from the two others.
    np.testing.assert_allclose(GeometricMedian(one_by_one=False)(evidence)[0], [1.0, 0.75, 1.25])


def test_a_group_of_one_unit_or_of_equal_ones_has_finite_heights() -> None:
    assert removal_heights(np.zeros((1, 1))).shape == (1,)
    assert np.isfinite(removal_heights(np.zeros((3, 3)))).all()


@given(arrays(np.float64, (7, 2), elements=st.floats(-5, 5)))
def test_heights_rise_in_the_order_of_going(points: np.ndarray) -> None:
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    heights = removal_heights(distances)
    there, going = list(range(7)), np.argsort(heights, kind="stable").tolist()
    assert len(set(heights.tolist())) == 7
    for gone in going[:-1]:
        nearest = distances[np.ix_(there, there)].sum(axis=1).min()
        assert distances[gone, there].sum() <= nearest + 1e-9
        there.remove(gone)


def test_scales_of_several_norms_are_averaged_as_shares() -> None:
    evidence = resnet()
    group = [each.name for each in evidence.structure.groups].index("stem.0")
    scales = torch.rand((2, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * torch.tensor(
        [[1], [9]]
    )
    for path, own in zip(("stem.1", "block1.second.1"), scales, strict=True):
        evidence.network.get_parameter(f"{path}.weight").copy_(own)
    expected = (scales / scales.sum(dim=1, keepdim=True)).mean(dim=0).numpy()
    np.testing.assert_allclose(BatchNormScale()(evidence)[group], expected)


# ---- a second way


def resnet(name: str = "resnet", count: int = 5) -> Evidence:
    images = images_for(count, 3)
    doubled = LoadedImages(tuple(batch.double() for batch in images.batches), images.labels)
    return Evidence(zoo(name).double(), structure_of_zoo(name), doubled, 0)


@pytest.mark.parametrize("name", ["vgg", "resnet", "mobilenet", "densenet", "regnet", "convnext", "multiplied"])
def test_activation_times_gradient_is_weight_times_gradient_summed_over_all_weights_that_read_a_unit(name: str) -> None:
    evidence = resnet(name)
    structure, network = evidence.structure, evidence.network
    found = [np.zeros((5, units)) for units in structure.units]
    paths = [f"{part.path}.weight" for part in readers(structure)]
    for image in range(5):
        weights = {path: network.get_parameter(path).clone().requires_grad_() for path in paths}
        outputs = torch.func.functional_call(network, weights, (evidence.calibration.batches[0][image : image + 1],))
        loss = nn.functional.cross_entropy(outputs, evidence.calibration.labels[image : image + 1])
        gradients = torch.autograd.grad(loss, list(weights.values()))
        for part, weight, gradient in zip(readers(structure), weights.values(), gradients, strict=True):
            products = per_incoming_channel(part, (weight * gradient).detach())
            assert part.incoming is not None
            for group in set(part.incoming.groups.tolist()) - {FIXED}:
                own = part.incoming.groups == group
                np.add.at(found[group][image], part.incoming.units[own], products[own])
    measured = gate_gradients_of(evidence)
    for group in range(len(structure.groups)):
        np.testing.assert_allclose(measured.sizes[group], np.abs(found[group]).mean(axis=0), rtol=1e-8, atol=1e-14)
        np.testing.assert_allclose(measured.squares[group], (found[group] ** 2).mean(axis=0), rtol=1e-8, atol=1e-14)


def per_incoming_channel(part: Part, products: torch.Tensor) -> np.ndarray:
    if part.kind.startswith("ConvTranspose"):
        return products.flatten(1).sum(dim=1).numpy()
    grouped = (
        products.unflatten(0, (part.conv_groups, -1)).flatten(3) if products.ndim > 2 else products[None, :, :, None]
    )
    return grouped.sum(dim=(1, 3)).flatten().numpy()


def test_closing_a_gate_a_little_changes_the_loss_as_taylor_says() -> None:
    evidence = replace(
        two_layers(), calibration=LoadedImages((torch.tensor([[1.0, 2.0]]).double(),), torch.tensor([1]))
    )
    expected = Taylor()(evidence)[0]
    for unit in range(3):
        losses = []
        for gate in (1 + 1e-6, 1 - 1e-6):
            weight = torch.from_numpy(OUT).clone()
            weight[:, unit] *= gate
            logits = torch.from_numpy(HIDDEN[:1]) @ weight.T
            losses.append(float(nn.functional.cross_entropy(logits, torch.tensor([1]))))
        assert abs(losses[0] - losses[1]) / 2e-6 == pytest.approx(expected[unit], abs=1e-9)


LAYERS = {
    "plain": (nn.Conv2d(6, 4, 3, padding=1), (6, 5, 7)),
    "strided": (nn.Conv2d(6, 4, (3, 2), stride=2, dilation=(2, 1)), (6, 9, 8)),
    "same": (nn.Conv2d(6, 4, 5, padding="same"), (6, 5, 6)),
    "reflect": (nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect"), (6, 5, 5)),
    "grouped": (nn.Conv2d(6, 4, 3, groups=2), (6, 5, 5)),
    "line": (nn.Conv1d(6, 4, 3, padding=2), (6, 9)),
    "volume": (nn.Conv3d(6, 4, 2), (6, 3, 4, 3)),
    "up": (nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, padding=1), (6, 4, 5)),
    "linear": (nn.Linear(6, 4), (6,)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("units", [[0, 1, 2, 0, 1, 2], [0, 1, 2, 2, 1, 0]], ids=["alike", "mirrored"])
def test_contributions_are_the_squares_of_what_the_layer_puts_out_for_the_units_channels_alone(
    name: str, units: list[int]
) -> None:
    layer, shape = LAYERS[name]
    layer = layer.double().requires_grad_(requires_grad=False)
    incoming = wiring([1] * 6, units)
    part = Part(name, type(layer).__name__, incoming, None, conv_groups=getattr(layer, "groups", 1))
    values = torch.randn((3, *shape), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    silent = layer(torch.zeros_like(values))
    expected = []
    for unit in range(3):
        own = torch.tensor(units) == unit
        alone = torch.where(own.view(1, -1, *([1] * (values.ndim - 2))), values, 0.0)
        added = layer(alone) - silent
        expected.append(float(added.square().sum()))
    blocks = blocks_of(part, layer.weight, 1)
    ways = [ContributionsByOutputs(blocks), contributions(part, blocks)]
    assert isinstance(ways[1], ContributionsByOutputs if name == "up" else ContributionsByMoments)
    for way in ways:
        for rows in torch.split(values, 2):
            way.add(layer, rows)
        np.testing.assert_allclose(blocks.by_unit(way.energies(), 3), expected, rtol=1e-10)


def test_wide_blocks_are_summed_up_from_outputs_with_the_same_result() -> None:
    layer = nn.Linear(400, 3).double().requires_grad_(requires_grad=False)
    part = Part("head", "Linear", wiring([0] * 400, [unit // 200 for unit in range(400)]), None)
    blocks = blocks_of(part, layer.weight, 0)
    way, other = contributions(part, blocks), ContributionsByMoments(blocks)
    assert isinstance(way, ContributionsByOutputs)
    values = torch.randn((5, 400), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for each in (way, other):
        each.add(layer, values)
    torch.testing.assert_close(way.energies(), other.energies())


def test_units_with_unequally_many_channels_are_refused() -> None:
    part = Part("head", "Linear", wiring([0, 0, 0], [0, 0, 1]), None)
    with pytest.raises(ContractError, match="every unit to have as many channels"):
        blocks_of(part, torch.zeros((2, 3)), 0)
    with pytest.raises(ContractError, match="channels of group 4, found none"):
        blocks_of(part, torch.zeros((2, 3)), 4)


def test_activations_of_channels_in_the_last_place_are_taken_there() -> None:
    evidence = resnet("convnext")
    taken = []
    handle = evidence.network.get_submodule("block1.widen").register_forward_pre_hook(
        lambda _module, arguments: taken.append(arguments[0])
    )
    evidence.network(evidence.calibration.batches[0])
    handle.remove()
    sizes = activations_of(evidence).sizes["block1.widen"]
    np.testing.assert_allclose(sizes, taken[0].abs().mean(dim=(0, 1, 2)).numpy())


def test_features_of_a_flatten_are_averaged_over_the_places_of_their_unit() -> None:
    evidence = resnet("vgg")
    group = len(evidence.structure.groups) - 2
    features = activations_of(evidence).sizes["6"].reshape(12, 16).mean(axis=1)
    np.testing.assert_allclose(ActivationMean()(evidence)[group], features / features.sum())


def test_the_channels_of_a_concatenation_are_averaged_over_all_that_take_them_in() -> None:
    evidence = resnet("densenet")
    sizes = activations_of(evidence).sizes
    own = [sizes[f"layers.{i}.2"][:8] for i in range(3)] + [sizes["head"].reshape(20, 49).mean(axis=1)[:8]]
    np.testing.assert_allclose(ActivationMean()(evidence)[0], np.mean([each / each.sum() for each in own], axis=0))


# ---- the mechanics


def test_criteria_that_ask_in_turn_share_one_pass_and_changed_weights_get_their_own() -> None:
    evidence, runs = two_layers(), []
    evidence.network.register_forward_hook(lambda *_: runs.append(1))
    ActivationMean()(evidence)
    APoZ()(evidence)
    assert len(runs) == 2  # batches
    Taylor()(evidence)
    Fisher()(evidence)
    assert len(runs) == 4
    evidence.network.get_submodule("0").weight.data[0] *= 2
    changed = Taylor()(evidence)[0]
    assert len(runs) == 6
    assert changed[0] != pytest.approx(np.abs(changes_of_the_loss()).mean(axis=0)[0])


def test_what_is_shared_cannot_be_changed_by_one_who_asked() -> None:
    evidence = two_layers()
    expected = Taylor()(evidence)[0].copy()
    Taylor()(evidence)[0][:] = -1
    np.testing.assert_array_equal(Taylor()(evidence)[0], expected)
    with pytest.raises(ValueError, match="read-only"):
        gate_gradients_of(evidence).sizes[0][:] = -1


def test_a_watcher_of_an_unknown_part_leaves_no_other_watched() -> None:
    network = two_layers().network
    watchers = {"2": lambda values: values, "nowhere": lambda values: values}
    with pytest.raises(AttributeError, match="nowhere"), watched(network, watchers):
        pass
    assert not network.get_submodule("2")._forward_pre_hooks


def test_an_error_during_the_pass_leaves_nothing_watched() -> None:
    evidence = two_layers()
    broken = replace(evidence, calibration=LoadedImages((torch.zeros((1, 5)).double(),), torch.tensor([0])))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Taylor()(broken)
    assert not any(module._forward_pre_hooks for module in evidence.network.modules())


class Named(nn.Module):
    """Hands its layer the input by name, and folds the places of an image into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.last = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.first(images)).movedim(1, -1)
        folded = self.last(input=features.reshape(-1, 4))
        return folded.reshape(len(images), -1, 3).mean(dim=1)


class Unfolded(Named):
    """The same without folding and names."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(images)).movedim(1, -1)).mean(dim=(1, 2))


def test_places_folded_into_the_batch_and_inputs_by_name_count_for_their_images() -> None:
    hidden, fixed = wiring([0] * 4, [0, 1, 2, 3]), wiring([FIXED] * 3, [0] * 3)
    parts = (Part("first", "Conv2d", None, hidden), Part("last", "Linear", hidden, fixed))
    structure = Structure((1, 6, 6), 3, (CouplingGroup("first", 4, (("first", "out"), ("last", "in"))),), parts)
    generator = torch.Generator().manual_seed(4)
    images = torch.randn((6, 1, 6, 6), generator=generator, dtype=torch.float64)
    network = Named().double().eval()
    other = Unfolded().double().eval()
    other.load_state_dict(network.state_dict())
    loaded = LoadedImages((images,), torch.tensor([0, 1, 2, 0, 1, 2]))
    for criterion in (Taylor(), Fisher(), ActivationMean(), APoZ(), NextLayerReconstruction()):
        folded, plain = (criterion(Evidence(each, structure, loaded, 0))[0] for each in (network, other))
        np.testing.assert_allclose(folded, plain)


def test_labels_that_do_not_match_the_images_are_refused() -> None:
    evidence = two_layers()
    wrong = replace(evidence, calibration=LoadedImages(evidence.calibration.batches, torch.tensor([0, 1, 1])))
    with pytest.raises(ContractError, match="one label per image, found 2 images, 3 labels"):
        Taylor()(wrong)


def test_means_over_parts_count_each_part_once() -> None:
    structure = two_layers().structure
    by_part = units_by_part(structure, {"0": np.array([1.0, 2.0, 5.0]), "elsewhere": np.ones(9)}, "out")
    assert [[own.tolist() for own in parts] for parts in by_part] == [[[1.0, 2.0, 5.0]]]
    assert averaged([], 2).tolist() == [0, 0]
    assert shares(np.zeros(2)).tolist() == [0, 0]
    assert shares(np.array([1.0, 3.0])).tolist() == [0.25, 0.75]
