"""A variant of any widths is the unpruned network with the best units of each group, cut once and never spoilt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import IMAGES, SOUND, bench_of

from emoprune.errors import ContractError
from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.coupling.masking import masked
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Part
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.records import Split
from emoprune.space import IntArray

INPUT = torch.randn((3, *IMAGES), generator=torch.Generator().manual_seed(2))


@cache
def ready(name: str) -> Bench:
    """Return a bench with a network of the zoo, shared by the tests."""
    return bench_of(name)


def slicer_of(bench: Bench, cache_bytes: int = 2**24) -> Slicer:
    rng = np.random.default_rng(6)
    return Slicer(bench, [rng.random(group.units) for group in bench.structure.groups], cache_bytes=cache_bytes)


def widths_of(bench: Bench, seed: int) -> IntArray:
    return np.random.default_rng(seed).integers(1, np.array(bench.structure.units) + 1)


@given(st.sampled_from(sorted(SOUND)), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)  # networks are built in each
def test_a_variant_computes_what_the_masked_network_does(name: str, seed: int) -> None:
    bench = ready(name)
    slicer, widths = slicer_of(bench), widths_of(bench, seed)
    expected = masked(bench.network, bench.structure, slicer.kept(widths))(INPUT)
    torch.testing.assert_close(slicer.variant(widths).network(INPUT), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("cache_bytes", [0, 4000, 2**24])
def test_what_was_cut_before_changes_nothing(name: str, cache_bytes: int) -> None:
    bench = ready(name)
    used = slicer_of(bench, cache_bytes)
    for seed in (1, 2, 1, 3):
        widths = widths_of(bench, seed)
        found = used.variant(widths).network
        expected = pruned_module(bench.network, bench.structure, used.kept(widths))
        own = expected.state_dict()
        assert found.state_dict().keys() == own.keys()
        assert all(torch.equal(tensor, own[key]) for key, tensor in found.state_dict().items())
        assert repr(found) == repr(expected)


@pytest.mark.parametrize("name", SOUND)
def test_changing_a_variant_leaves_the_unpruned_network_and_later_variants_as_they_were(name: str) -> None:
    bench, widths = bench_of(name), np.array([max(1, units // 2) for units in ready(name).structure.units])
    slicer = slicer_of(bench)
    expected = slicer.variant(widths).network(INPUT)
    spoilt = slicer.variant(widths).network
    for module in spoilt.modules():
        module.train()
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight = nn.Parameter(torch.zeros_like(module.weight))
    assert not any(module.training for module in bench.network.modules())
    assert torch.equal(slicer.variant(widths).network(INPUT), expected)


def test_full_widths_give_the_unpruned_network_itself_to_be_scored_with_its_own_statistics() -> None:
    bench = ready("resnet")
    variant = slicer_of(bench).variant(np.array(bench.structure.units))
    assert variant.network is bench.network
    assert not variant.versions
    assert not variant.adapted


def test_versions_name_exactly_the_parts_whose_tensors_differ() -> None:
    bench = ready("mobilenet")
    widths = np.array(bench.structure.units)
    widths[1] -= 1
    variant = slicer_of(bench).variant(widths)
    before = bench.network.state_dict()
    changed = {
        key.rpartition(".")[0]
        for key, tensor in variant.network.state_dict().items()
        if tensor.shape != before[key].shape
    }
    assert changed == set(variant.versions)


@pytest.mark.parametrize("name", SOUND)
def test_rows_name_the_channels_that_a_first_layer_still_puts_out(name: str) -> None:
    bench = ready(name)
    variant = slicer_of(bench).variant(np.ones(len(bench.structure.units), dtype=np.int64))
    ((path, rows),) = variant.rows.items()
    image = bench.images[Split.SEARCH].batches[0][:2]
    whole, some = (network.get_submodule(path)(image) for network in (bench.network, variant.network))
    torch.testing.assert_close(whole.index_select(1, rows), some)


def test_a_module_with_two_names_is_cut_under_both() -> None:
    bench = bench_of("vgg")
    bench.network.again = bench.network.get_submodule("2.0")
    variant = slicer_of(bench).variant(widths_of(bench, 4))
    assert variant.network.get_submodule("again") is variant.network.get_submodule("2.0")


def test_widths_of_another_shape_are_refused() -> None:
    with pytest.raises(ContractError, match=r"one per coupling group, shape \(\d+,\), found \(2,\)"):
        slicer_of(ready("vgg")).variant(np.array([1, 1]))


def test_widths_that_empty_a_group_are_refused() -> None:
    bench = ready("vgg")
    widths = np.array(bench.structure.units)
    widths[0] = 0
    with pytest.raises(ContractError, match="rising indices of 1 to 8 units"):
        slicer_of(bench).variant(widths)


class Doubling:
    """A compensation that doubles what stays of every convolution, and counts how often it is asked."""

    leaf: ClassVar[str] = "test"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def statistics(self, evidence: Evidence) -> Statistics:
        raise NotImplementedError

    def tensors(
        self, part: Part, unpruned: Mapping[str, torch.Tensor], kept: Kept, statistics: Statistics
    ) -> Mapping[str, torch.Tensor]:
        self.asked.append(part.path)
        if part.kind != "Conv2d" or part.outgoing is None or part.incoming is None:
            return {}
        name = f"{part.path}.weight"
        incoming, outgoing = (torch.from_numpy(each.staying(kept)) for each in (part.incoming, part.outgoing))
        return {name: 2 * unpruned[name][outgoing][:, incoming]}


def test_a_compensation_changes_only_pruned_parts_and_is_asked_once_for_each() -> None:
    bench, doubling = bench_of("vgg"), Doubling()
    slicer = Slicer(bench, [np.arange(group.units)[::-1].astype(float) for group in bench.structure.groups], doubling)
    widths = np.array(bench.structure.units)
    widths[1] -= 3
    first, second = slicer.variant(widths), slicer.variant(widths)
    assert sorted(doubling.asked) == sorted(first.versions)
    plain = pruned_module(bench.network, bench.structure, slicer.kept(widths))
    for variant in (first, second):
        assert torch.equal(variant.network.get_parameter("2.0.weight"), 2 * plain.get_parameter("2.0.weight"))
        assert torch.equal(variant.network.get_parameter("0.0.weight"), bench.network.get_parameter("0.0.weight"))


def test_a_compensated_first_layer_has_no_rows() -> None:
    bench = bench_of("vgg")
    slicer = Slicer(bench, [np.arange(group.units)[::-1].astype(float) for group in bench.structure.groups], Doubling())
    assert not slicer.variant(np.ones(len(bench.structure.units), dtype=np.int64)).rows


def any_units(bench: Bench, seed: int) -> Kept:
    rng = np.random.default_rng(seed)
    chosen = [rng.random(units) < rng.random() for units in bench.structure.units]
    for own in chosen:
        own[rng.integers(len(own))] = True
    return [np.flatnonzero(own) for own in chosen]


@given(st.sampled_from(sorted(SOUND)), st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)  # networks are built in each
def test_a_variant_of_any_units_computes_what_the_masked_network_does(name: str, seed: int) -> None:
    bench = ready(name)
    slicer, kept = slicer_of(bench), any_units(bench, seed)
    slicer.variant(widths_of(bench, seed))  # cuts of other units, which may be as many, must not be taken for these
    slicer.variant_of(any_units(bench, seed + 1))
    expected = masked(bench.network, bench.structure, kept)(INPUT)
    torch.testing.assert_close(slicer.variant_of(kept).network(INPUT), expected, rtol=1e-3, atol=1e-4)


def test_the_best_units_are_the_same_variant_however_they_are_named() -> None:
    bench = ready("resnet")
    slicer, widths = slicer_of(bench), widths_of(bench, 3)
    assert slicer.variant_of(slicer.kept(widths)).versions == slicer.variant(widths).versions
    assert slicer.variant_of(bench.structure.full).network is bench.network


def test_units_that_empty_a_group_are_refused() -> None:
    bench = ready("vgg")
    kept = [np.zeros(0, dtype=np.int64), *bench.structure.full[1:]]
    with pytest.raises(ContractError, match=r"one or more units of each of 4 coupling groups, found \[0,"):
        slicer_of(bench).variant_of(kept)
