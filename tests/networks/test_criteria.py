"""Every criterion keeps the promises, finds what was planted for it, and has its place in the taxonomy."""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import IMAGES, SOUND, ZOO, images_for, structure_of_zoo, zoo

from emoprune import plugins
from emoprune.problems.networks import criteria
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.criteria.activation_mean import ActivationMean
from emoprune.problems.networks.criteria.apoz import APoZ
from emoprune.problems.networks.criteria.batch_norm_scale import BatchNormScale
from emoprune.problems.networks.criteria.checks import check_criterion
from emoprune.problems.networks.criteria.contract import Criterion
from emoprune.problems.networks.criteria.fisher import Fisher
from emoprune.problems.networks.criteria.geometric_median import GeometricMedian
from emoprune.problems.networks.criteria.lamp import LAMP
from emoprune.problems.networks.criteria.next_layer import NextLayerReconstruction
from emoprune.problems.networks.criteria.norms import L1, L2
from emoprune.problems.networks.criteria.random_order import RandomOrder
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.criteria.samples import permuted
from emoprune.problems.networks.criteria.taxonomy import ELSEWHERE, LEAVES
from emoprune.problems.networks.criteria.taylor import Taylor
from emoprune.problems.networks.evaluation.scoring import LoadedImages

OF_WEIGHTS = (L1, L2, LAMP, GeometricMedian)
OF_READERS = (NextLayerReconstruction, Taylor, Fisher)
OF_ACTIVATIONS = (ActivationMean, APoZ)
INFORMED = (*OF_WEIGHTS, *OF_READERS, *OF_ACTIVATIONS, BatchNormScale)
ALL = (*INFORMED, RandomOrder)


def evidence_of(name: str, network: nn.Module | None = None, count: int = 24) -> Evidence:
    """Return evidence in 64 bits."""
    images = images_for(count, 0)
    doubled = LoadedImages(tuple(batch.double() for batch in images.batches), images.labels)
    return Evidence((network or zoo(name)).double(), structure_of_zoo(name), doubled, 7)


def group_called(evidence: Evidence, name: str) -> int:
    return [group.name for group in evidence.structure.groups].index(name)


# ---- all of them, on all networks


@pytest.mark.parametrize("criterion", ALL)
@pytest.mark.parametrize("name", ZOO)
def test_scores_of_every_network_are_finite_and_there_is_one_per_unit(
    name: str, criterion: Callable[[], Criterion]
) -> None:
    images = images_for(16, 0)
    evidence = Evidence(zoo(name), structure_of_zoo(name), images, 7)
    scores = criterion()(evidence)
    assert tuple(len(own) for own in scores) == evidence.structure.units
    assert all(np.isfinite(own).all() for own in scores)


@pytest.mark.parametrize("name", SOUND)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_units_in_another_order_have_their_scores_in_that_order(name: str, data: st.DataObject) -> None:
    evidence = evidence_of(name, count=6)
    orders = [np.array(data.draw(st.permutations(range(units)))) for units in evidence.structure.units]
    other = replace(evidence, network=permuted(evidence.network, evidence.structure, orders))
    image = evidence.calibration.batches[0]
    torch.testing.assert_close(other.network(image), evidence.network(image))
    for criterion in INFORMED:
        for own, moved, order in zip(criterion()(evidence), criterion()(other), orders, strict=True):
            np.testing.assert_allclose(moved, own[order], rtol=1e-8, atol=1e-12 + 1e-9 * own.max())


def test_the_geometric_median_of_all_units_at_once_keeps_the_promises_of_a_criterion() -> None:
    check_criterion(lambda: GeometricMedian(one_by_one=False))


def test_random_scores_come_from_the_seed_alone() -> None:
    evidence = evidence_of("vgg")
    first, again = RandomOrder()(evidence), RandomOrder()(evidence_of("vgg", zoo("vgg", seed=9)))
    other = RandomOrder()(replace(evidence, seed=8))
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


# ---- planted


def copy_unit(network: nn.Module, evidence: Evidence, group: int, source: int, target: int) -> None:
    """Give one unit the weights that put another one out, in every part."""
    for part in evidence.structure.parts:
        if part.weighted and part.outgoing is not None:
            weight = network.get_parameter(f"{part.path}.weight").data
            own = part.outgoing.groups == group
            rows = [np.flatnonzero(own & (part.outgoing.units == unit)) for unit in (source, target)]
            weight[rows[1]] = weight[rows[0]]


@pytest.mark.parametrize(("name", "group"), [("vgg", "2.0"), ("vgg", "6"), ("resnet", "stem.0")])
def test_of_two_equal_units_the_geometric_median_lets_one_go_first_and_keeps_the_other(name: str, group: str) -> None:
    evidence = evidence_of(name)
    number = group_called(evidence, group)
    copy_unit(evidence.network, evidence, number, source=2, target=5)
    units = evidence.structure.units[number]
    scores = GeometricMedian()(evidence)[number]
    assert len({2, 5} & set(kept_units(scores, units - 1).tolist())) == 1
    assert len({2, 5} & set(kept_units(scores, units - 2).tolist())) == 1
    at_once = GeometricMedian(one_by_one=False)(evidence)[number]
    assert set(np.argsort(at_once)[:2].tolist()) == {2, 5}


def unread(evidence: Evidence, group: int, unit: int) -> None:
    """Let no part read a unit outside of its own group."""
    for part in evidence.structure.weighted:
        if part.incoming is not None and not part.depthwise:
            weight = evidence.network.get_parameter(f"{part.path}.weight").data
            channels = np.flatnonzero((part.incoming.groups == group) & (part.incoming.units == unit))
            per_group = len(part.incoming) // part.conv_groups
            for channel in channels:
                if part.kind.startswith("ConvTranspose"):
                    weight[channel] = 0
                else:
                    rows = len(weight) // part.conv_groups
                    first = channel // per_group * rows
                    weight[first : first + rows, channel % per_group] = 0


@pytest.mark.parametrize("criterion", OF_READERS)
@pytest.mark.parametrize("name", SOUND)
def test_the_best_unit_scores_zero_once_nobody_reads_it_and_the_others_do_not(
    name: str, criterion: Callable[[], Criterion]
) -> None:
    evidence = evidence_of(name, count=8)
    before = criterion()(evidence)
    for group, own in enumerate(before):
        best = int(own.argmax())
        other = replace(evidence, network=copy.deepcopy(evidence.network))
        unread(other, group, best)
        scores = criterion()(other)[group]
        assert scores[best] == 0
        assert ((scores > 0) == (own > 0))[np.arange(len(own)) != best].all()


@pytest.mark.parametrize("criterion", [*OF_ACTIVATIONS, *OF_READERS])
def test_a_unit_whose_relu_is_always_shut_scores_zero(criterion: Callable[[], Criterion]) -> None:
    evidence = evidence_of("vgg")
    evidence.network.get_submodule("2.1").bias.data[4] = -1e6
    scores = criterion()(evidence)[group_called(evidence, "2.0")]
    assert scores[4] == 0
    assert scores.argmin() == 4


def test_a_batch_norm_of_scale_zero_puts_its_unit_last() -> None:
    evidence = evidence_of("vgg")
    norm = evidence.network.get_submodule("2.1")
    norm.weight.data.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(1))
    norm.weight.data[7] = 0
    norm.weight.data[3] *= -9  # large whatever its sign
    scores = BatchNormScale()(evidence)[group_called(evidence, "2.0")]
    assert scores[7] == 0
    assert scores.argmin() == 7
    assert scores.argmax() == 3


def test_a_group_that_passes_no_norm_is_ranked_by_l1_instead_of_its_order() -> None:
    evidence = evidence_of("convnext")
    group = group_called(evidence, "block1.widen")
    found, norms = BatchNormScale()(evidence)[group], L1()(evidence)[group]
    np.testing.assert_allclose(found, norms / norms.sum())


@pytest.mark.parametrize("criterion", OF_WEIGHTS)
@pytest.mark.parametrize(
    ("name", "group", "producer"),
    [
        ("resnet", "stem.0", "stem.0"),
        ("resnet", "stem.0", "block1.second.0"),
        ("mobilenet", "features.1.layers.0.0", "features.1.layers.1.0"),
        ("regnet", "block1.grouped.0", "block1.excite"),
        ("convnext", "stem", "block1.depthwise"),
        ("convnext", "stem", "block1.narrow"),
    ],
    ids=str,
)
def test_every_part_that_puts_a_units_channels_out_counts(
    criterion: Callable[[], Criterion], name: str, group: str, producer: str
) -> None:
    evidence = evidence_of(name)
    number, part = group_called(evidence, group), evidence.structure.part(producer)
    assert part.outgoing is not None
    before = criterion()(evidence)[number]
    rows = np.flatnonzero((part.outgoing.groups == number) & (part.outgoing.units == 3))
    assert len(rows) > 0
    evidence.network.get_parameter(f"{producer}.weight").data[rows] *= 40
    after = criterion()(evidence)[number]
    assert after[3] >= after.max() * (1 - 1e-12)  # of the last two each is as far from the other
    assert after[3] > before[3]


def test_every_batch_norm_that_a_residual_sum_passes_counts() -> None:
    evidence = evidence_of("resnet")
    number = group_called(evidence, "stem.0")
    for path in ("stem.1", "block1.second.1"):
        before = BatchNormScale()(evidence)[number]
        evidence.network.get_parameter(f"{path}.weight").data[2] *= 3
        assert BatchNormScale()(evidence)[number][2] > before[2]


@pytest.mark.parametrize("criterion", OF_READERS)
def test_every_part_that_reads_a_unit_counts(criterion: Callable[[], Criterion]) -> None:
    for consumer in ("block1.first.0", "block2.first.0", "block2.shortcut.0"):
        evidence = evidence_of("resnet")
        number = group_called(evidence, "stem.0")
        before = criterion()(evidence)[number]
        evidence.network.get_parameter(f"{consumer}.weight").data[:, 2] *= 30
        after = criterion()(evidence)[number]
        assert after[2] / after.sum() > before[2] / before.sum()


# ---- the taxonomy


def classes_with_a_leaf() -> dict[str, str]:
    """Return the leaf of every criterion in the package, by the class's name."""
    found = {}
    for module in pkgutil.walk_packages(criteria.__path__, f"{criteria.__name__}."):
        for name, member in vars(importlib.import_module(module.name)).items():
            if isinstance(member, type) and callable(member) and hasattr(member, "leaf"):
                found[name] = member.leaf
    return found


def test_every_criterion_stands_at_a_leaf_of_the_taxonomy() -> None:
    found = classes_with_a_leaf()
    assert {cls.__name__ for cls in ALL} <= set(found)
    assert {name: leaf for name, leaf in found.items() if leaf not in LEAVES} == {}


def test_every_leaf_is_covered_or_excused_and_none_is_both() -> None:
    covered = set(classes_with_a_leaf().values())
    assert {leaf for leaf, reason in LEAVES.items() if not reason} == covered
    assert all(leaf.count("/") == 1 for leaf in LEAVES)


@pytest.mark.parametrize("leaf", ELSEWHERE)
def test_a_leaf_that_others_cover_names_plug_ins_that_there_are(leaf: str) -> None:
    kinds = {kind: [*plugins.available(kind)] for kind, _ in ELSEWHERE[leaf]}
    assert all(name in kinds[kind] and name.rpartition(".")[2] in LEAVES[leaf] for kind, name in ELSEWHERE[leaf])


def test_the_zoo_is_what_the_planted_cases_think_it_is() -> None:
    assert structure_of_zoo("resnet").input_shape == IMAGES
    assert structure_of_zoo("regnet").groups[1].units == 4
