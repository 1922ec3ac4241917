"""Least squares: the layer's own error never rises, and what is redundant costs nothing."""

from __future__ import annotations

import copy
from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import SOUND, bench_of

from emoprune.problems.networks.calibration.evidence import Evidence
from emoprune.problems.networks.calibration.filters import inputs_of
from emoprune.problems.networks.calibration.hooks import readers, watched
from emoprune.problems.networks.calibration.patches import patches, places
from emoprune.problems.networks.channels.compensations.contract import Statistics
from emoprune.problems.networks.channels.compensations.least_squares import LeastSquares
from emoprune.problems.networks.coupling.pruned_module import pruned_module, tensors_of, with_tensors
from emoprune.problems.networks.coupling.structure import Kept, Part
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.criteria.lasso import Lasso
from emoprune.problems.networks.criteria.ranking import kept_units
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.scoring import LoadedImages

EVERYWHERE = LeastSquares(rows_per_weight=1e6)  # every place of every image


@cache
def bench(network: str) -> Bench:
    return bench_of(network, images=24)


@cache
def statistics(network: str) -> Statistics:
    own = bench(network)
    return EVERYWHERE.statistics(Evidence(own.network, own.structure, own.calibration, seed=0))


@cache
def read(network: str) -> dict[str, torch.Tensor]:
    """What each layer of the unpruned network takes in for all calibration images."""
    found: dict[str, list[torch.Tensor]] = {part.path: [] for part in bench(network).structure.weighted}

    def noting(values: torch.Tensor, path: str) -> torch.Tensor:
        found[path].append(values)
        return values

    watchers = {path: partial(noting, path=path) for path in found}
    with torch.no_grad(), watched(bench(network).network, watchers):
        for batch in bench(network).calibration.batches:
            bench(network).network(batch)
    return {path: torch.cat(values).double() for path, values in found.items()}


def outputs(network: nn.Module, part: Part, values: torch.Tensor) -> torch.Tensor:
    """A layer's outputs in 64 bits, channels last."""
    with torch.no_grad():
        found = copy.deepcopy(network.get_submodule(part.path)).double()(values)
    return found if part.kind == "Linear" else found.movedim(1, -1)


def layer_errors(network: str, kept: Kept) -> dict[str, tuple[float, float, float]]:
    """For each layer that is solved: its mean square, and the error of plain slicing and of least squares in it."""
    own = bench(network)
    sliced = pruned_module(own.network, own.structure, kept)
    found = {}
    for part in readers(own.structure):
        if part.kind.startswith("ConvTranspose") or not inputs_of(part, kept).going.size:
            continue
        solved = with_tensors(
            sliced, EVERYWHERE.tensors(part, tensors_of(own.network, part), kept, statistics(network))
        )
        assert part.incoming is not None
        assert part.outgoing is not None
        axis = -1 if part.kind == "Linear" else 1
        values = read(network)[part.path]
        wanted = outputs(own.network, part, values)[..., part.outgoing.staying(kept)]
        some = values.index_select(axis, torch.from_numpy(part.incoming.staying(kept)))
        errors = [float((outputs(made, part, some) - wanted).square().mean()) for made in (sliced, solved)]
        found[part.path] = (float(wanted.square().mean()), errors[0], errors[1])
    return found


@given(seed=st.integers(0, 2**32 - 1), network=st.sampled_from(sorted(SOUND)))
@settings(max_examples=20)
def test_the_error_of_a_layer_is_never_larger_than_after_plain_slicing(seed: int, network: str) -> None:
    rng = np.random.default_rng(seed)
    kept = [np.sort(rng.choice(u, int(rng.integers(1, u + 1)), replace=False)) for u in bench(network).structure.units]
    for path, (square, plain, solved) in layer_errors(network, kept).items():
        assert solved <= plain * (1 + 1e-6) + 1e-10 * square, path  # the solved weights are rounded to 32 bits


@pytest.mark.parametrize("network", sorted(SOUND))
def test_the_error_of_every_layer_falls_at_half_width(network: str) -> None:
    kept = [np.arange(0, units, 2) for units in bench(network).structure.units]
    errors = {path: found for path, found in layer_errors(network, kept).items() if found[1] > 0}  # some read only 0
    assert len(errors) > 1
    for path, (_, plain, solved) in errors.items():
        assert solved < 0.999 * plain, path


def with_duplicate() -> tuple[nn.Module, LoadedImages]:
    """A convolution whose channel 5 repeats channel 2, read by another one; and images."""
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4, 3, stride=2), nn.Flatten(), nn.Linear(4 * 9, 3)
    )
    first = network[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight[5], first.bias[5] = first.weight[2], first.bias[2]
    images = torch.randn(30, 1, 8, 8)
    return network.eval().requires_grad_(requires_grad=False), LoadedImages((images,), torch.arange(30) % 3)


def test_a_duplicated_channel_is_dropped_and_nothing_is_lost() -> None:
    network, images = with_duplicate()
    structure = trace(network, (1, 8, 8))
    evidence = Evidence(network.requires_grad_(requires_grad=False), structure, images, seed=0)
    scores = Lasso()(evidence)
    assert int(np.argmin(scores[0])) in {2, 5}
    kept = [kept_units(scores[0], 5), np.arange(4)]
    compensation = LeastSquares()
    held = compensation.statistics(evidence)
    changed = {}
    for part in structure.parts:
        changed |= compensation.tensors(part, tensors_of(network, part), kept, held)
    sliced = pruned_module(network, structure, kept)
    wanted = network(images.batches[0])
    assert float((with_tensors(sliced, changed)(images.batches[0]) - wanted).square().mean()) < 1e-6 * float(
        wanted.square().mean()
    )
    assert float((sliced(images.batches[0]) - wanted).square().mean()) > 1e-3 * float(wanted.square().mean())


def test_dead_inputs_do_no_harm() -> None:
    network, images = with_duplicate()
    first = network[0]
    assert isinstance(first, nn.Conv2d)
    with torch.no_grad():
        first.weight.zero_()
        first.bias.zero_()
    structure = trace(network, (1, 8, 8))
    evidence = Evidence(network.requires_grad_(requires_grad=False), structure, images, seed=0)
    held = LeastSquares().statistics(evidence)
    part = structure.part("2")
    kept = [np.array([1, 3]), np.arange(4)]
    changed = LeastSquares().tensors(part, tensors_of(network, part), kept, held)
    assert torch.allclose(changed["2.weight"], network.get_parameter("2.weight")[:, [1, 3]])


LAYERS = {
    "plain": nn.Conv2d(3, 4, 3),
    "strided": nn.Conv2d(3, 4, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(3, 4, 3, dilation=2, padding=2),
    "oblong": nn.Conv2d(3, 4, (3, 2), stride=(1, 2), padding=(0, 1)),
    "same": nn.Conv2d(3, 4, 4, padding="same"),
    "valid": nn.Conv2d(3, 4, 3, padding="valid"),
    "reflected": nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"),
    "circular": nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
    "grouped": nn.Conv2d(6, 4, 3, padding=1, groups=2),
    "one-dimensional": nn.Conv1d(3, 4, 5, stride=2, padding=1),
    "three-dimensional": nn.Conv3d(2, 4, 3, padding=1),
    "linear": nn.Linear(5, 4),
    "linear over places": nn.Linear(5, 4),
}


def input_for(name: str) -> torch.Tensor:
    sizes = {
        "one-dimensional": (3, 11),
        "three-dimensional": (2, 5, 6, 4),
        "linear": (5,),
        "linear over places": (7, 3, 5),
    }
    shape = (6, 8, 9) if name == "grouped" else sizes.get(name, (3, 8, 9))
    return torch.randn((4, *shape), generator=torch.Generator().manual_seed(1))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # the case is meant
@pytest.mark.parametrize("name", LAYERS)
def test_patches_times_weights_are_the_layers_outputs(name: str) -> None:
    layer, values = LAYERS[name], input_for(name)
    groups = getattr(layer, "groups", 1)
    rows = patches(layer, values, 10**9, torch.Generator())
    weight = layer.get_parameter("weight").flatten(1).unflatten(0, (groups, -1))
    found = torch.cat(list(rows @ weight.transpose(1, 2)), dim=1) + layer.get_parameter("bias")
    with torch.no_grad():
        wanted = layer(values)
    channels_last = wanted.flatten(0, -2) if name.startswith("linear") else wanted.movedim(1, -1).flatten(0, -2)
    torch.testing.assert_close(found, channels_last, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_sampled_patches_are_some_of_all_and_drawn_by_the_generator(name: str) -> None:
    layer, values = LAYERS[name], input_for(name)
    every = {tuple(row) for row in patches(layer, values, 10**9, torch.Generator()).flatten(0, 1).tolist()}
    some, again = (patches(layer, values, 3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(some, again)
    assert some.shape[1] == (4 if name == "linear" else 12)
    drawn = [tuple(row) for row in some.flatten(0, 1).tolist()]
    assert set(drawn) <= every
    assert len(set(drawn)) == len(drawn)


def test_places_are_the_channels_themselves_by_convolution_group() -> None:
    values = input_for("grouped")
    found = places(LAYERS["grouped"], values, 10**9, torch.Generator())
    assert found.shape == (2, 4 * 72, 3)
    assert torch.equal(found[1], values.movedim(1, -1).flatten(0, -2)[:, 3:])


def test_without_shifted_biases_the_bias_stays() -> None:
    own = bench("convnext")
    kept = [np.arange(0, units, 2) for units in own.structure.units]
    part = own.structure.part("head")
    tensors = tensors_of(own.network, part)
    assert set(EVERYWHERE.tensors(part, tensors, kept, statistics("convnext"))) == {"head.weight", "head.bias"}
    plain = LeastSquares(shift_bias=False)
    assert set(plain.tensors(part, tensors, kept, statistics("convnext"))) == {"head.weight"}
