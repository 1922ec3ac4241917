"""In bfloat16 everything is the same to the bit as well, and it is only chosen where it changes no prediction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from zoo_for_tests import bench_of

from emoprune.errors import ContractError
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.precision import choose_precision
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.proxies.estimating import estimating_norms
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

BENCH = bench_of("resnet", images=56)


def variants() -> list[Variant]:
    slicer = Slicer(BENCH, [np.arange(group.units) * 1.0 for group in BENCH.structure.groups])
    units = np.array(BENCH.structure.units)
    return [slicer.variant(own) for own in (units, units // 2, np.minimum(units, 5))]


def test_half_precision_is_the_same_to_the_bit_whatever_is_kept() -> None:
    kept = ReusingRunner(BENCH, AdaptiveBatchNorm(), 2**28, "bfloat16")
    one = kept.outputs(variants(), Split.SEARCH)
    other = kept.outputs(variants()[::-1], Split.SEARCH)[::-1]
    alone = [
        ReusingRunner(BENCH, AdaptiveBatchNorm(), 0, "bfloat16").outputs([own], Split.SEARCH)[0] for own in variants()
    ]
    for first, second, third in zip(one, other, alone, strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, third)


@pytest.mark.parametrize("kind", [PlainRunner, ReusingRunner])
def test_half_precision_really_computes_in_it_and_gives_32_bits_back(kind: type) -> None:
    arguments = (BENCH, AdaptiveBatchNorm()) if kind is PlainRunner else (BENCH, AdaptiveBatchNorm(), 2**28)
    exact = kind(*arguments, "float32").outputs(variants(), Split.SEARCH)
    rough = kind(*arguments, "bfloat16").outputs(variants(), Split.SEARCH)
    for own, other in zip(exact, rough, strict=True):
        assert other.dtype == torch.float32
        difference = float((own - other).abs().max() / own.abs().max())
        assert 1e-4 < difference < 0.1


def test_statistics_stay_in_32_bits_and_are_those_of_the_plain_runner() -> None:
    variant = variants()[1]
    fast = ReusingRunner(BENCH, AdaptiveBatchNorm(), 2**28, "bfloat16").settled(variant).network
    plain = PlainRunner(BENCH, AdaptiveBatchNorm(), "bfloat16").settled(variant).network
    for path in estimating_norms(fast):
        own, other = fast.get_buffer(f"{path}.running_var"), plain.get_buffer(f"{path}.running_var")
        assert own.dtype == torch.float32
        torch.testing.assert_close(own, other, rtol=0.02, atol=1e-3)
    assert all(parameter.dtype == torch.float32 for parameter in fast.parameters())


def test_the_choice_counts_every_prediction_of_every_variant() -> None:
    found = choose_precision(BENCH, variants(), AdaptiveBatchNorm())
    assert found.predictions in {0, 3 * 56}  # none on a processor without bfloat16
    if found.precision == "bfloat16":
        assert found.differing == 0
        assert found.speedup > 1


def test_nothing_to_try_is_refused() -> None:
    with pytest.raises(ContractError, match="found none"):
        choose_precision(replace(BENCH), [], AdaptiveBatchNorm())
