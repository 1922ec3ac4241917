"""Batch-norm statistics estimated anew are what each form says they are, and nothing else changes."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from zoo_for_tests import bench_of, images_for, zoo

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.data.digits import digits
from emoprune.problems.networks.data.images import LabelledImages
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import (
    AdaptiveBatchNorm,
    PublishedAdaptiveBatchNorm,
)
from emoprune.problems.networks.evaluation.proxies.by_name import proxy_named
from emoprune.problems.networks.evaluation.proxies.contract import NormStatistics
from emoprune.problems.networks.evaluation.proxies.estimating import estimated, estimating_norms, statistics_of
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.evaluation.scoring import calibration_images
from emoprune.problems.networks.variant import Variant

BATCHES = tuple(batch.double() for batch in torch.split(images_for(40, 3).batches[0], [7, 20, 13]))


def trained_by_torch(network: nn.Module, momentum: float | None, *, reset: bool, rounds: int = 1) -> nn.Module:
    """Return a copy whose batch norms met the batches in train mode, `rounds` times, by torch's own arithmetic."""
    made = copy.deepcopy(network)
    for norm in estimating_norms(made).values():
        norm.momentum = momentum
        if reset:
            norm.reset_running_stats()
        norm.train()
    with torch.no_grad():
        for batch in BATCHES * rounds:
            made(batch)
    return made.eval()


def assert_same_statistics(found: nn.Module, expected: nn.Module) -> None:
    for path, norm in estimating_norms(expected).items():
        own, other = statistics_of(found.get_submodule(path)), statistics_of(norm)
        torch.testing.assert_close(own.mean, other.mean, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(own.variance, other.variance, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["vgg", "resnet", "densenet"])
def test_the_average_is_torchs_cumulative_one_from_a_reset(name: str) -> None:
    network = zoo(name).double()
    found = estimated(network, BATCHES, AdaptiveBatchNorm())
    assert_same_statistics(found, trained_by_torch(network, None, reset=True))


@pytest.mark.parametrize("name", ["vgg", "resnet", "densenet"])
def test_the_published_form_is_torchs_momentum_of_a_tenth_in_whole_rounds_of_a_hundred_batches(name: str) -> None:
    network = zoo(name).double()
    for norm in estimating_norms(network).values():
        norm.momentum = None  # whatever the network was trained with
    found = estimated(network, BATCHES, PublishedAdaptiveBatchNorm())
    assert_same_statistics(found, trained_by_torch(network, 0.1, reset=False, rounds=34))


def test_nothing_of_the_old_statistics_remains_in_the_average() -> None:
    other = zoo("vgg")
    for path, statistic in other.named_buffers():
        if path.endswith("running_mean"):
            nn.init.constant_(statistic, 1e6)
    batches = [batch.float() for batch in BATCHES]
    first, second = (estimated(network, batches, AdaptiveBatchNorm())(batches[0]) for network in (zoo("vgg"), other))
    assert torch.equal(first, second)


@pytest.mark.parametrize("batches", [1, 4, 100, 130])
def test_the_published_form_keeps_next_to_nothing_of_the_old_statistics_however_few_batches(batches: int) -> None:
    old, seen = (NormStatistics(torch.full((2,), value).double(), torch.ones(2)) for value in (1.0, 0.0))
    found = PublishedAdaptiveBatchNorm()(old, [seen] * batches).mean
    torch.testing.assert_close(found, torch.full((2,), 0.9 ** max(100, batches)).double())


def test_the_network_itself_is_not_touched_and_what_comes_back_can_be_trained() -> None:
    network = zoo("vgg")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    made = estimated(network, [batch.float() for batch in BATCHES], AdaptiveBatchNorm())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module.training for module in (*network.modules(), *made.modules()))
    copied = copy.deepcopy(made).train().requires_grad_(requires_grad=True)
    copied(BATCHES[1].float()).sum().backward()
    assert all(parameter.grad is not None for parameter in copied.parameters())


def test_dropout_is_off_during_the_estimate() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.BatchNorm1d(784).double()).eval()
    found = statistics_of(estimated(network, [BATCHES[1]], AdaptiveBatchNorm()).get_submodule("2"))
    torch.testing.assert_close(found.mean, BATCHES[1].flatten(1).mean(dim=0))
    torch.testing.assert_close(found.variance, BATCHES[1].flatten(1).var(dim=0))


class TwoNames(nn.Module):
    """One batch norm that the forward finds under its second name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(1).double()
        self.again = self.first

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.flatten(self.again(images), 1)


def test_a_batch_norm_with_two_names_is_estimated_under_both() -> None:
    made = estimated(TwoNames().eval(), BATCHES, AdaptiveBatchNorm())
    expected = torch.stack([batch.mean() for batch in BATCHES]).mean()
    torch.testing.assert_close(made.get_buffer("again.running_mean")[0], expected)
    assert made.get_submodule("again") is made.get_submodule("first")


def test_a_network_without_batch_norm_is_given_back_as_it_is() -> None:
    network = zoo("convnext")
    assert estimated(network, [], AdaptiveBatchNorm()) is network


def test_a_batch_of_one_image_is_refused() -> None:
    with pytest.raises(ContractError, match=r"at least 2 images each, found sizes \[1, 7\]"):
        estimated(zoo("vgg"), [BATCHES[0][:1], BATCHES[0]], AdaptiveBatchNorm())


def test_the_unpruned_network_and_the_proxy_none_keep_the_statistics_they_have() -> None:
    bench = bench_of("vgg")
    kept = Variant(bench.network, {}, adapted=False)
    assert PlainRunner(bench, AdaptiveBatchNorm()).settled(kept) is kept
    pruned = Variant(bench.network, {"0.0": 1})
    assert PlainRunner(bench, proxy_named("none", "channels")).settled(pruned) is pruned


def test_proxies_go_by_name() -> None:
    names = ("adaptive-batch-norm", {"name": "adaptive-batch-norm-published"}, "none")
    assert [proxy_named(name, "channels") for name in names] == [
        AdaptiveBatchNorm(),
        PublishedAdaptiveBatchNorm(),
        None,
    ]
    with pytest.raises(ConfigError, match=r"proxy: no proxy is called .magic. \(there are: adaptive-batch-norm, "):
        proxy_named("magic", "channels")


def test_statistics_of_unequal_shapes_are_refused() -> None:
    with pytest.raises(ContractError, match="one mean and one variance per channel"):
        NormStatistics(torch.zeros(3), torch.zeros(2))


def test_many_calibration_images_come_in_batches_of_nearly_equal_size_without_repeats() -> None:
    part = digits().train
    loaded = calibration_images(part, 301, "cpu")
    sizes = [len(batch) for batch in loaded.batches]
    assert sizes == [101, 100, 100]
    assert len(torch.unique(torch.cat(loaded.batches), dim=0)) == 301
    assert all(one >= other for one, other in pairwise(sizes))


def test_data_sorted_by_class_gives_every_batch_all_classes_with_their_labels() -> None:
    part = digits().train
    by_class = np.argsort(part.labels, kind="stable")
    numbered = np.broadcast_to(part.labels[by_class, None, None, None].astype(np.float32), part.images.shape)
    loaded = calibration_images(LabelledImages(np.ascontiguousarray(numbered), part.labels[by_class]), 256, "cpu")
    assert [set(batch[:, 0, 0, 0].tolist()) for batch in loaded.batches] == [set(range(10))] * 2
    assert torch.equal(torch.cat(loaded.batches)[:, 0, 0, 0].long(), loaded.labels)
