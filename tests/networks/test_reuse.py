"""Whatever is kept, whoever came before, in whatever order: a candidate's outputs are the same to the bit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo_for_tests import SOUND, bench_of

from emoprune.errors import ContractError
from emoprune.problems.networks.channels.slicer import Slicer
from emoprune.problems.networks.evaluation.bench import Bench
from emoprune.problems.networks.evaluation.proxies.adaptive_batch_norm import AdaptiveBatchNorm
from emoprune.problems.networks.evaluation.proxies.by_name import proxy_named
from emoprune.problems.networks.evaluation.proxies.estimating import estimating_norms, statistics_of
from emoprune.problems.networks.evaluation.reuse.cache import GDSFCache, LRUCache, bytes_of
from emoprune.problems.networks.evaluation.reuse.folding import folded, foldings, overwriting
from emoprune.problems.networks.evaluation.reuse.runner import ReusingRunner
from emoprune.problems.networks.evaluation.reuse.tracing import traced
from emoprune.problems.networks.evaluation.runner import PlainRunner
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

NETWORKS = ("vgg", "resnet", "densenet", "regnet", "convnext")
COUNT = 5


@cache
def ready(name: str) -> Bench:
    """Return a bench with a network of the zoo, shared by the tests."""
    return bench_of(name, images=56)  # batches of 48 and 8: never of equal size


def variants_of(name: str, levels: list[list[int]]) -> list[Variant]:
    """Return variants whose widths are few, so that they share prefixes; 3 stands for the full width."""
    bench = ready(name)
    rng = np.random.default_rng(1)
    slicer = Slicer(bench, [rng.random(group.units) for group in bench.structure.groups])
    units = np.array(bench.structure.units)
    widths = [np.ceil(units * (np.resize(own, len(units)) + 1) / 4).astype(np.int64) for own in levels]
    return [slicer.variant(own) for own in widths]


LEVELS = st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=6), min_size=COUNT, max_size=COUNT)


@cache
def unkept(name: str, proxy: str) -> ReusingRunner:
    """Return a runner that keeps nothing, so that whatever it is asked stands alone."""
    return ReusingRunner(ready(name), proxy_named(proxy, "channels"), 0, "float32")


@given(
    st.sampled_from(NETWORKS),
    LEVELS,
    st.permutations(range(COUNT)),
    st.sets(st.integers(1, COUNT - 1)),
    st.sampled_from([0, 20_000, 300_000, 2**30]),
    st.sampled_from(["adaptive-batch-norm", "adaptive-batch-norm-published", "none"]),
)
@settings(max_examples=50, deadline=None)  # each runs networks
def test_results_are_the_same_to_the_bit_whatever_is_kept_and_whoever_came_before(  # noqa: PLR0917  # one per strategy
    name: str, levels: list[list[int]], order: list[int], cuts: set[int], limit: int, proxy: str
) -> None:
    variants, bench = variants_of(name, levels), ready(name)
    alone = [unkept(name, proxy).outputs([variant], Split.SEARCH)[0] for variant in variants]
    runner = ReusingRunner(bench, proxy_named(proxy, "channels"), limit, "float32")
    for start, end in pairwise([0, *sorted(cuts), COUNT]):
        places = order[start:end]
        found = runner.outputs([variants[place] for place in places], Split.SEARCH)
        assert all(torch.equal(own, alone[place]) for place, own in zip(places, found, strict=True))
        assert runner.kept_bytes <= limit


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("proxy", ["adaptive-batch-norm", "adaptive-batch-norm-published"])
def test_outputs_are_the_plain_runners_within_float_noise_with_the_same_predictions(name: str, proxy: str) -> None:
    bench = ready(name)
    variants = variants_of(name, [[3], [0, 2], [0, 1, 3], [2]])
    fast = ReusingRunner(bench, proxy_named(proxy, "channels"), 2**28, "float32").outputs(variants, Split.TEST)
    plain = PlainRunner(bench, proxy_named(proxy, "channels")).outputs(variants, Split.TEST)
    for own, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
        assert torch.equal(own.argmax(dim=1), other.argmax(dim=1))


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("limit", [0, 2**28])
def test_a_settled_variant_run_plainly_gives_the_outputs_it_was_scored_with(name: str, limit: int) -> None:
    bench = ready(name)
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), limit, "float32")
    variants = variants_of(name, [[1, 2], [1, 0], [3]])
    scored = runner.outputs(variants, Split.SEARCH)
    settled = [runner.settled(variant) for variant in variants]
    again = PlainRunner(bench, None).outputs(settled, Split.SEARCH)
    for own, other in zip(scored, again, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
        assert torch.equal(own.argmax(dim=1), other.argmax(dim=1))


def test_a_settled_variant_is_not_taken_for_the_one_before_it_settled() -> None:
    bench = ready("vgg")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    (variant,) = variants_of("vgg", [[1, 2]])
    sliced_only = Variant(variant.network, variant.versions, adapted=False, rows=variant.rows)
    settled = runner.settled(variant)
    found = runner.outputs([variant, sliced_only, settled], Split.SEARCH)
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_unpruned_network_is_scored_with_its_own_statistics() -> None:
    bench = ready("resnet")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    pruned, unpruned = variants_of("resnet", [[1, 3], [3]])
    found = runner.outputs([pruned, unpruned], Split.SEARCH)[1]
    expected = torch.cat([bench.network(batch) for batch in bench.images[Split.SEARCH].batches])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_weights_that_differ_without_any_width_do_not_share() -> None:
    bench = ready("vgg")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    other = bench_of("vgg", images=56)
    other.network.get_parameter("0.0.weight").mul_(-1.5)
    variants = [Variant(bench.network, {}), Variant(other.network, {"0.0": "scaled"})]
    found = runner.outputs(variants, Split.SEARCH)
    plain = PlainRunner(bench, AdaptiveBatchNorm()).outputs(variants, Split.SEARCH)
    for own, expected in zip(found, plain, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-3, atol=1e-4)
    assert not torch.equal(found[0], found[1])


def test_splits_are_kept_apart() -> None:
    bench = ready("vgg")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    variants = variants_of("vgg", [[1]])
    search, test = (runner.outputs(variants, split)[0] for split in (Split.SEARCH, Split.TEST))
    assert not torch.equal(search, test)
    torch.testing.assert_close(test, PlainRunner(bench, AdaptiveBatchNorm()).outputs(variants, Split.TEST)[0])


def test_what_neighbours_share_is_not_computed_again() -> None:
    bench = ready("vgg")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    first, last = variants_of("vgg", [[1, 1, 1, 1], [1, 1, 1, 2]])
    ran: list[str] = []
    for path in ("0.0", "2.0", "4.0", "6"):
        module = last.network.get_submodule(path)
        module.register_forward_hook(lambda *_, path=path: ran.append(path))
    runner.outputs([first], Split.SEARCH)
    ran.clear()  # hooks are shared by clones of one network
    runner.outputs([last], Split.SEARCH)
    assert set(ran) == {"6"}


def test_outputs_can_be_kept_and_changed_without_spoiling_what_is_kept() -> None:
    bench = ready("resnet")
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32")
    variants = variants_of("resnet", [[1, 2]])
    first = runner.outputs(variants, Split.SEARCH)[0]
    expected = first.clone()
    first.zero_()
    assert torch.equal(runner.outputs(variants, Split.SEARCH)[0], expected)


def test_a_cache_forgets_what_was_not_used_for_longest() -> None:
    cache = LRUCache[str](3 * 1512)
    for key in ("a", "b", "c"):
        cache.put(key, key.upper(), 1000)
    cache.touch("a")
    cache.put("d", "D", 1000)
    assert [key in cache for key in "abcd"] == [True, False, True, True]
    assert cache.used == 3 * 1512
    cache.put("a", "other", 10)
    assert cache.get("a") == "other"
    assert cache.used == 2 * 1512 + 522
    cache.put("large", "", 10_000)
    assert "large" not in cache
    assert len(cache) == 3


def test_empty_values_take_room_too() -> None:
    cache = LRUCache[int](10_000)
    for key in range(1000):
        cache.put(key, key, 0)
    assert len(cache) == 10_000 // 512


@pytest.mark.parametrize("kind", [LRUCache, GDSFCache])
def test_a_limit_below_zero_is_refused(kind: type[LRUCache[int]] | type[GDSFCache[int]]) -> None:
    with pytest.raises(ContractError, match="expected 0 bytes or more, found -1"):
        kind(-1)


def test_what_saves_most_work_per_byte_stays() -> None:
    cache = GDSFCache[str](3 * 1512)
    for key, work in (("dear", 9.0), ("cheap", 1.0), ("used", 1.0)):
        cache.put(key, key, 1000, work)
    for _ in range(4):
        cache.touch("used")
    cache.put("new", "new", 1000, 1.0)
    assert [key in cache for key in ("dear", "cheap", "used", "new")] == [True, False, True, True]
    assert cache.get("dear") == "dear"
    assert cache.get("cheap") is None
    assert cache.used == 3 * 1512
    cache.put("large", "", 10_000, 1e9)
    assert "large" not in cache


def test_what_was_worth_much_once_is_forgotten_when_it_is_not_used_again() -> None:
    cache = GDSFCache[int](3 * 1512)
    cache.put("once", 0, 1000, 10.0)
    for key in range(30):
        cache.put(key, key, 1000, 1.0)
    assert "once" not in cache
    assert len(cache) == 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3000), st.floats(0, 100), st.booleans()), max_size=60))
def test_a_cache_never_holds_more_than_its_limit_and_counts_what_it_holds(
    steps: list[tuple[int, int, float, bool]],
) -> None:
    cache, sizes = GDSFCache[int](5000), dict[int, int]()
    for key, size, work, touched in steps:
        if touched:
            cache.touch(key)
        else:
            cache.put(key, size, size, work)
            sizes[key] = size
        held = [other for other in sizes if other in cache]
        assert cache.used == sum(sizes[other] + 512 for other in held) <= 5000
        assert len(cache) == len(held)
        assert all(cache.get(other) == sizes[other] for other in held)


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@given(
    dimensions=st.integers(1, 3),
    bias=st.booleans(),
    affine=st.booleans(),
    groups=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=20, deadline=None)  # the first use of a kernel is slow
def test_a_folded_convolution_gives_what_its_batch_norm_gives(
    *, dimensions: int, bias: bool, affine: bool, groups: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    conv = CONVOLUTIONS[dimensions - 1](4, 6, 3, padding=1, bias=bias, groups=2 if groups else 1)
    norm = NORMS[dimensions - 1](6, affine=affine).eval()
    for tensor in (*conv.parameters(), *norm.parameters(), norm.running_mean):
        assert tensor is not None
        tensor.data.normal_(generator=generator)
    assert norm.running_var is not None
    norm.running_var.uniform_(0.1, 2, generator=generator)
    images = torch.randn(2, 4, *(5,) * dimensions, generator=generator)
    with torch.no_grad():
        torch.testing.assert_close(folded(conv, norm)(images), norm(conv(images)), rtol=1e-4, atol=1e-4)


def test_only_what_nobody_else_looks_at_is_folded_or_overwritten() -> None:
    class Looked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
            self.norm_one, self.norm_two, self.relu = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            before = self.one(images)
            normed = self.norm_one(before)
            return torch.relu(self.norm_two(self.two(self.relu(normed) + before + normed)))

    graph, root = traced(Looked().eval())
    assert foldings(graph, root, ()) == {"two": "norm_two"}
    assert [str(node.all_input_nodes[0].target) for node in overwriting(list(graph.nodes), root)] == ["norm_two"]


def test_bytes_count_whole_storages_once() -> None:
    tensor = torch.zeros(10, 10)
    assert bytes_of((tensor[0], [tensor[1]], {"other": torch.zeros(5)}, 7)) == 400 + 20


@given(st.sampled_from(["vgg", "resnet", "densenet"]), LEVELS, st.sets(st.integers(0, 12)), st.sampled_from([0, 2**28]))
@settings(max_examples=20, deadline=None)  # each runs networks
def test_frozen_batch_norms_keep_their_statistics_whoever_came_before(
    name: str, levels: list[list[int]], places: set[int], limit: int
) -> None:
    bench = ready(name)
    norms = sorted(estimating_norms(bench.network))
    frozen = frozenset(norms[place] for place in places if place < len(norms))
    free = variants_of(name, levels)
    partly = [replace(variant, frozen=frozen) for variant in free]
    alone = [unkept(name, "adaptive-batch-norm").outputs([variant], Split.SEARCH)[0] for variant in partly]
    runner = ReusingRunner(bench, AdaptiveBatchNorm(), limit, "float32")
    mixed = [each for pair in zip(free, partly, strict=True) for each in pair]
    found = runner.outputs(mixed, Split.SEARCH)[1::2]
    assert all(torch.equal(own, other) for own, other in zip(found, alone, strict=True))
    settled = runner.settled(partly[0]).network
    before = {path: norm for path, norm in partly[0].network.named_modules() if path in frozen}
    for path, norm in before.items():
        assert torch.equal(statistics_of(settled.get_submodule(path)).mean, statistics_of(norm).mean)


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_with_frozen_batch_norms_both_runners_agree(name: str) -> None:
    bench = ready(name)
    frozen = frozenset(sorted(estimating_norms(bench.network))[1::2])
    variants = [replace(variant, frozen=frozen) for variant in variants_of(name, [[0, 2], [1, 3, 2]])]
    fast = ReusingRunner(bench, AdaptiveBatchNorm(), 2**28, "float32").outputs(variants, Split.TEST)
    plain = PlainRunner(bench, AdaptiveBatchNorm()).outputs(variants, Split.TEST)
    for own, other in zip(fast, plain, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
