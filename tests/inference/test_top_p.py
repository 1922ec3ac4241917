"""Attention to the keys that get a share of it: what holds for any keys, and for a model that goes on with them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods_for_tests import prepared

from emoprune.errors import ConfigError
from emoprune.problems.language.sample import llama
from emoprune.problems.networks.transformers.inference.sample import attention_top_p
from emoprune.problems.networks.transformers.inference.standalone.evicting import (
    EvictingCache,
    Policy,
    cache_argument,
    patched,
    use,
)
from emoprune.problems.networks.transformers.inference.standalone.importance import Recent
from emoprune.problems.networks.transformers.inference.standalone.top_p import TopP
from emoprune.problems.networks.transformers.inference.top_p.problem import AttentionTopP
from emoprune.records import Split
from emoprune.testing import ProblemConformance

SEEDS = st.integers(0, 10_000)
SHARES = st.sampled_from([0.3, 0.5, 0.8, 0.9, 0.99])
KEYS, WIDTH = 22, 6


@pytest.mark.slow
class TestAttentionTopP(ProblemConformance):
    genomes = 2
    test_an_export_writes_files_and_leaves_the_problem_as_it_was = None  # type: ignore[assignment]  # below, once

    def problem(self) -> AttentionTopP:
        return attention_top_p(objectives=["loss", "missed", "keys", "read-bytes"])


def sides(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries of four heads, keys of two, logits, what is visible, and that nothing is padding."""
    drawn = torch.Generator().manual_seed(seed)
    query = torch.randn(1, 4, 3, WIDTH, generator=drawn)
    key = torch.randn(1, 2, KEYS, WIDTH, generator=drawn) * 2
    logits = query @ key.repeat_interleave(2, dim=1).transpose(2, 3)
    visible = torch.ones(1, 3, KEYS, dtype=torch.bool).tril(KEYS - 3)
    return query, key, logits, visible, torch.ones(1, KEYS - 3, dtype=torch.bool)


@settings(max_examples=20)
@given(SEEDS, SHARES)
def test_what_is_left_out_changes_outputs_by_no_more_than_twice_its_attention(seed: int, share: float) -> None:
    query, key, logits, visible, there = sides(seed)
    kept, *_ = TopP(share, 1.0, 4, 32).kept(query, key, logits, visible, there)
    values = torch.randn(1, 4, KEYS, WIDTH, generator=torch.Generator().manual_seed(seed + 1))
    whole, own = (
        logits.masked_fill(~mask, -torch.inf).softmax(dim=3) for mask in (visible[:, None].expand_as(kept), kept)
    )
    assert ((whole * kept).sum(dim=3) >= share - 1e-6).all(), "what is kept has the share"
    apart = ((whole - own) @ values).norm(dim=3)
    assert (apart <= 2 * (1 - share) * values.norm(dim=3).amax(dim=2, keepdim=True) + 1e-5).all()


@settings(max_examples=20)
@given(SEEDS, SHARES)
def test_no_smaller_set_would_have_the_share(seed: int, share: float) -> None:
    query, key, logits, visible, there = sides(seed)
    kept, *_ = TopP(share, 1.0, 4, 32).kept(query, key, logits, visible, there)
    weights = logits.masked_fill(~visible[:, None], -torch.inf).softmax(dim=3)
    without = (weights * kept).sum(dim=3) - weights.masked_fill(~kept, torch.inf).amin(dim=3)
    assert (without < share + 1e-6).all(), "without the least of them it is missed"


@settings(max_examples=20)
@given(SEEDS, st.sampled_from([2, 4, 32]), st.sampled_from([0.5, 1.0]))
def test_more_of_the_attention_takes_no_fewer_keys_and_no_fewer_bytes(seed: int, bits: int, pages: float) -> None:
    query, key, logits, visible, there = sides(seed)
    found = [TopP(share, pages, 4, bits).kept(query, key, logits, visible, there) for share in (0.3, 0.6, 0.9)]
    for (fewer, less, _), (more, read, _) in pairwise(found):
        assert not (fewer & ~more).any()
        assert (less <= read).all()
    assert not (found[-1][0] & ~visible[:, None]).any()


@settings(max_examples=20)
@given(SEEDS)
def test_pages_with_the_highest_products_are_looked_at(seed: int) -> None:
    """A query that points at one key, far longer than the others, finds its page among all."""
    query, key, _, visible, there = sides(seed)
    place = seed % (KEYS - 3)
    query[:] = torch.nn.functional.normalize(torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed)), dim=0)
    key[:, :, place] = query[0, 0, 0] * 60
    logits = query @ key.repeat_interleave(2, dim=1).transpose(2, 3)
    kept, *_ = TopP(0.5, 0.2, 4, 4).kept(query, key, logits, visible, there)
    assert kept[..., place].all()


def test_bytes_are_those_of_bounds_rounded_keys_and_what_is_attended_to() -> None:
    query, key, logits, visible, there = sides(1)
    kept, read, _ = TopP(0.6, 0.5, 4, 4).kept(query, key, logits, visible, there)
    pages, looked = 5, 3 * 4 + torch.tensor([1, 2, 3])  # of 19 keys; three pages of the prompt and what followed it
    least = pages * 2 * WIDTH * 4 + (looked - 1) * WIDTH * 4 / 8  # the last page is one key short
    most = pages * 2 * WIDTH * 4 + looked * WIDTH * 4 / 8
    found = read[0] - kept.sum(dim=(1, 3))[0] * 2 * WIDTH * 4
    assert (found >= 4 * least).all()
    assert (found <= 4 * most).all()


def tokens() -> torch.Tensor:
    return torch.randint(4, 28, (2, 28), generator=torch.Generator().manual_seed(0))


def followed(model: Any, policy: Policy, pieces: int) -> tuple[torch.Tensor, EvictingCache]:
    cache, ids = EvictingCache(policy, model.config), tokens()
    with torch.inference_mode():
        logits = [
            model(input_ids=each, use_cache=True, **{cache_argument(model): cache}).logits
            for each in (ids[:, :16], *ids[:, 16:].chunk(pieces, dim=1))
        ]
    return torch.cat(logits, dim=1), cache


def policy_of(thin: TopP | None) -> Policy:
    return Policy((1.0, 1.0), 0, 1, 0.0, Recent(), (thin, thin))


def test_all_of_the_attention_is_the_model_itself() -> None:
    model = llama()
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=tokens()).logits
    use(model)
    for thin in (None, TopP(1.0, 1.0, 4, 32)):
        found, cache = followed(model, policy_of(thin), 1)
        assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
        assert cache.used()[0].tolist() == pytest.approx([16 + 6.5] * 2)


@pytest.mark.parametrize("bits", [3, 32])
@pytest.mark.parametrize("pages", [0.5, 1.0])
def test_tokens_that_follow_at_once_attend_as_one_by_one(bits: int, pages: float) -> None:
    model = llama()
    use(model)
    policy = policy_of(TopP(0.7, pages, 4, bits))
    (at_once, one), (singly, other) = (followed(model, policy, pieces) for pieces in (1, 12))
    assert torch.allclose(at_once, singly, atol=1e-4)
    assert torch.allclose(one.used(), other.used())
    assert torch.allclose(one.read(), other.read())
    assert (one.used() < 16 + 6.5).all()


def test_padding_on_the_left_changes_nothing_that_is_written() -> None:
    model = patched(llama(), policy_of(TopP(0.6, 0.5, 4, 4)))
    short = tokens()[:1, :12]
    alone = model.generate(short, attention_mask=torch.ones_like(short), max_new_tokens=6, do_sample=False)
    mask = torch.cat([torch.zeros(1, 4), torch.ones(1, 12)], dim=1).long()
    padded = torch.cat([torch.full((1, 4), 3), short], dim=1)  # by a whole page, so that pages hold the same keys
    left = model.generate(padded, attention_mask=mask, max_new_tokens=6, do_sample=False)
    assert alone[0, 12:].tolist() == left[0, 16:].tolist()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> AttentionTopP:
    own: AttentionTopP = prepared(attention_top_p(), tmp_path_factory.mktemp("top-p"))
    return own


def test_less_attention_reads_less_and_keys_are_counted(ready: AttentionTopP) -> None:
    half, most, whole = (ready._layout.genome(level, 0, 0) for level in range(3))
    values = [ready.values(genome, Split.SEARCH)["read-bytes"] for genome in (half, most, whole)]
    assert values[0] < values[1] < values[2] == pytest.approx(ready._unpruned()["read-bytes"], rel=0.05)


def test_layers_that_are_left_whole_have_one_form(ready: AttentionTopP) -> None:
    genomes = np.array([[0, 1, 1, 1, 0], [2, 1, 1, 0, 0], [2, 2, 0, 1, 0]])
    full = ready.space.full.tolist()
    assert ready.canonical(genomes).tolist() == [[2, 1, 1, 0, 0], [2, 1, 1, 0, 0], full]
    assert ready.describe(genomes[0])["shares of attention"] == "1 0.8"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"shares": (0.5, 1.0)}, "shares: expected rising numbers above 0 and below 1"),
        ({"pages": (0.0, 0.5)}, "pages: expected rising numbers above 0 and up to 1"),
        ({"bits": (4, 2)}, "bits: expected rising numbers"),
        ({"page": 0}, "page: expected 1 or more keys"),
        ({"context": 130}, "expected at most 128 tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        attention_top_p(**options)


@pytest.mark.slow
def test_an_exported_policy_answers_alike_in_a_fresh_process(tmp_path: Path, ready: AttentionTopP) -> None:
    said = ready.export(ready._layout.genome(1, 0, 0), tmp_path)
    assert float(said["largest difference of logits"]) < 1e-4
    assert (tmp_path / "top_p.py").exists()
