"""Networks that cannot be taken apart are run as a whole, with the reason; the others give what that gives."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo_for_tests import CLASSES, IMAGES, SOUND, bench_of, images_for

from emoprune.errors import ContractError
from emoprune.problems.networks.coupling.tracing import trace
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.runner import PlainRunner, runner_of
from emoprune.problems.networks.evaluation.scoring import in_precision
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split


class Small(nn.Module):
    """Two convolutions; what lies between them is the test's."""

    def __init__(self, between: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, 2)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 8, 3, 2)
        self.head = nn.Linear(8, CLASSES)
        self.shift = torch.full((1,), 0.25)
        self.between = between

    def forward(self, images: Tensor) -> Tensor:
        features = self.between(self, self.first(images))
        return self.head(torch.relu(self.second(features)).mean([2, 3]))


def bench_with(between: Callable[[nn.Module, Tensor], Tensor]) -> Bench:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        network = Small(between).eval().requires_grad_(requires_grad=False)
    structure = trace(network, IMAGES)
    network.requires_grad_(requires_grad=False)
    return Bench(network, structure, images_for(24, 0), {split: images_for(24, 1) for split in Split}, "cpu")


def added_twice(own: nn.Module, values: Tensor) -> Tensor:
    values += own.shift
    return values.mul_(1.5) + functional.relu(values, True)


def in_place_of_a_shared_value(own: nn.Module, values: Tensor) -> Tensor:
    normed = own.norm(values)
    return own.relu(normed) + normed


def with_constant(own: nn.Module, values: Tensor) -> Tensor:
    return own.relu(own.norm(values + torch.ones(1) + own.shift))


def by_value(own: nn.Module, values: Tensor) -> Tensor:
    return own.norm(values) if values.mean() > 0 else own.norm(-values)


def by_size(own: nn.Module, values: Tensor) -> Tensor:
    return own.norm(values).view(values.size(0), own.first.out_channels, values.size(2), values.size(3))


def into_places(own: nn.Module, values: Tensor) -> Tensor:
    normed = own.norm(values)
    normed[:, 0] = 0
    return normed


def past_the_norm(own: nn.Module, values: Tensor) -> Tensor:
    plain = nn.functional.batch_norm(values, own.norm.running_mean, own.norm.running_var)
    return own.norm(plain)


def test_constants_written_down_in_the_forward_are_followed() -> None:
    assert_like_plain(bench_with(with_constant), expect_fast=True)


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        (by_value, "its forward cannot be traced: TraceError"),
        (by_size, "step by step, it does not run: RuntimeError"),
        (into_places, "its forward cannot be traced: TypeError|changes a tensor by 'setitem'"),
        (in_place_of_a_shared_value, "step by step, its forward gives other outputs"),
        (added_twice, "step by step, its forward gives other outputs"),
        (past_the_norm, "its forward takes 'norm.running_mean' past the batch norm"),
    ],
)
def test_a_forward_that_cannot_be_taken_apart_is_run_as_a_whole_and_the_note_says_why(
    between: Callable[[nn.Module, Tensor], Tensor], reason: str
) -> None:
    bench = bench_with(between)
    chosen = runner_of(bench, AdaptiveBatchNorm(), 2**24, "float32")
    assert isinstance(chosen.runner, PlainRunner)
    assert chosen.note is not None
    assert re.search(reason, chosen.note), chosen.note
    assert "nothing is shared" in chosen.note
    assert_like_plain(bench, expect_fast=False)


def assert_like_plain(bench: Bench, *, expect_fast: bool) -> None:
    chosen = runner_of(bench, AdaptiveBatchNorm(), 2**24, "float32")
    assert isinstance(chosen.runner, ReusingRunner) == expect_fast, chosen.note
    variant = Variant(bench.network, {"second": 1})
    found, again = (chosen.runner.outputs([variant], Split.SEARCH)[0] for _ in range(2))
    assert torch.equal(found, again)
    torch.testing.assert_close(
        found, PlainRunner(bench, AdaptiveBatchNorm()).outputs([variant], Split.SEARCH)[0], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", SOUND)
def test_every_sound_network_of_the_zoo_is_taken_apart(name: str) -> None:
    assert runner_of(bench_of(name), AdaptiveBatchNorm(), 0, "float32").note is None


def test_calibration_batches_of_one_image_are_refused_where_there_are_statistics_to_estimate() -> None:
    bench = bench_of("vgg", images=49)  # in batches of 48 and 1
    with pytest.raises(ContractError, match=r"at least 2 images each, found sizes \[48, 1\]"):
        runner_of(bench, AdaptiveBatchNorm(), 0, "float32")
    assert runner_of(bench, None, 0, "float32").note is None


def test_a_precision_that_is_not_decided_is_refused() -> None:
    with pytest.raises(ContractError, match="expected float32 or bfloat16, found 'auto'"):
        in_precision("auto", "cpu")
