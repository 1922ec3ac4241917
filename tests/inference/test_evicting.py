"""A cache within budgets: exact where it keeps everything, and never beyond a budget where it does not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers_for_tests import LANGUAGE

from emoprune.problems.language.sample import llama
from emoprune.problems.networks.transformers.inference.standalone import evicting
from emoprune.problems.networks.transformers.inference.standalone.evicting import (
    EvictingCache,
    Policy,
    cache_argument,
    chosen,
    patched,
    use,
)
from emoprune.problems.networks.transformers.inference.standalone.importance import Accumulated, Observed, Recent

WHOLE = Policy((1.0, 1.0), 1, 3, 0.0, Accumulated())
HALF = Policy((0.5, 0.25), 1, 3, 0.0, Accumulated())
READ, LENGTH = 16, 28
WITH_CAPS = "Gemma2, soft caps"


def tokens(rows: int = 2, length: int = LENGTH) -> torch.Tensor:
    return torch.randint(4, 28, (rows, length), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> Any:
    """A small model that attends by our function."""
    own = llama()
    use(own)
    return own


def followed(model: Any, policy: Policy, ids: torch.Tensor, *, pieces: int = 1) -> tuple[torch.Tensor, EvictingCache]:
    """Return the logits of all tokens, those behind the first READ ones in pieces, and the cache at the end."""
    cache = EvictingCache(policy, model.config)
    with torch.inference_mode():
        logits = [
            model(input_ids=each, use_cache=True, **{cache_argument(model): cache}).logits
            for each in (ids[:, :READ], *ids[:, READ:].chunk(pieces, dim=1))
        ]
    return torch.cat(logits, dim=1), cache


@pytest.mark.parametrize("name", ["multi-head Llama", "grouped-query Llama", "multi-query Llama", "Mistral", WITH_CAPS])
def test_a_model_that_keeps_everything_answers_as_it_does_by_itself(name: str) -> None:
    model = LANGUAGE[name]()
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=tokens()).logits
    use(model)
    found, cache = followed(model, WHOLE, tokens())
    assert torch.allclose(found, expected, atol=1e-5 * max(1.0, float(expected.abs().max())))
    assert cache.used()[0].tolist() == [READ + (LENGTH - READ + 1) / 2] * 2


def test_a_sliding_window_is_kept_to_with_and_without_a_budget() -> None:
    model = LANGUAGE["Mistral"]()
    model.config.sliding_window = 6
    for layer in model.model.layers:
        layer.self_attn.sliding_window = 6
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=tokens()).logits
    use(model)
    wide = Policy((0.6, 0.6), 0, 6, 0.0, Recent())  # of 16 tokens 10, more than the window lets anyone see
    for policy in (WHOLE, wide):
        found, cache = followed(model, policy, tokens(), pieces=3)
        assert torch.allclose(found, expected, atol=1e-5 * float(expected.abs().max()))
        assert cache.used().max() == 6


def test_layers_with_a_sliding_window_hold_as_many_keys_as_are_counted() -> None:
    model = LANGUAGE["Mistral"]()
    model.config.sliding_window = 6
    use(model)
    within = Policy((1.0, 0.3), 1, 3, 0.0, Accumulated())  # of 16 tokens 5, fewer than the window lets anyone see
    cache = EvictingCache(within, model.config)
    held = []
    for each in (tokens()[:, :READ], *tokens()[:, READ:].split(1, dim=1)):
        with torch.inference_mode():
            model(input_ids=each, use_cache=True, **{cache_argument(model): cache})
        held.append([layer.keys.shape[2] for layer in cache.layers])
    assert held[1:] == [[6, 5]] * (LENGTH - READ)
    assert cache.used().tolist() == [[6.0, 5.0]] * 2


def test_a_patched_model_that_is_to_write_without_a_cache_says_that_it_cannot() -> None:
    model, ids = patched(llama(), HALF), tokens(1, 12)
    with pytest.raises(ValueError, match="use_cache: expected True"):
        model.generate(ids, max_new_tokens=4, do_sample=False, use_cache=False)
    expected = model.generate(ids, max_new_tokens=4, do_sample=False)
    model.generation_config.use_cache = False  # as models are saved that were trained with checkpoints
    assert model.generate(ids, max_new_tokens=4, do_sample=False).tolist() == expected.tolist()


def test_no_token_that_follows_sees_more_keys_than_the_budget(model: Any) -> None:
    _, cache = followed(model, HALF, tokens(), pieces=LENGTH - READ)
    assert cache.used().tolist() == [[8.0, 4.0]] * 2
    assert [layer.keys.shape[2] for layer in cache.layers] == [8, 4]
    assert cache.get_seq_length() == LENGTH


@pytest.mark.parametrize("importance", [Accumulated(), Observed(4, 3), Recent()])
@pytest.mark.parametrize("representatives", [0.0, 0.5])
def test_tokens_that_follow_at_once_answer_as_one_by_one(model: Any, importance: Any, representatives: float) -> None:
    policy = Policy((0.6, 0.4), 1, 3, representatives, importance)
    at_once, one = followed(model, policy, tokens())
    singly, other = followed(model, policy, tokens(), pieces=LENGTH - READ)
    assert torch.allclose(at_once, singly, atol=1e-4)
    assert [layer.slots.tolist() for layer in one.layers] == [layer.slots.tolist() for layer in other.layers]


def test_only_the_keys_that_are_held_are_attended_to(model: Any) -> None:
    """What was dropped could have been anything."""
    policy = Policy((0.25, 0.25), 1, 3, 0.0, Recent())
    ids = tokens()
    cache = EvictingCache(policy, model.config)
    with torch.inference_mode():
        model(input_ids=ids[:, :READ], use_cache=True, **{cache_argument(model): cache})
        kept = cache.layers[0].slots[0].tolist()
        assert kept == [0, 13, 14, 15]
        mask = torch.full((1, 1, LENGTH, LENGTH), 0.0)
        for query in range(READ, LENGTH):
            mask[..., query, 1 : query - 2] = torch.finfo(torch.float32).min
        mask += torch.full((LENGTH, LENGTH), torch.finfo(torch.float32).min).triu(1)
        expected = model(input_ids=ids, attention_mask=mask.clamp(min=torch.finfo(torch.float32).min)).logits
    found, _ = followed(model, policy, ids)
    assert torch.allclose(found[:, READ], expected[:, READ], atol=1e-4)
    assert torch.allclose(found[:, -1], expected[:, -1], atol=1e-4)


def test_padding_on_the_left_and_rows_of_mixed_lengths_change_nothing_that_is_written() -> None:
    model = patched(llama(), HALF)
    ids = tokens(2, 20)
    short = ids[:1, :12]
    padded = torch.cat([torch.full((1, 8), 3), short], dim=1)
    mask = torch.cat([torch.zeros(1, 8), torch.ones(1, 12)], dim=1).long()
    alone = model.generate(short, attention_mask=torch.ones_like(short), max_new_tokens=8, do_sample=False)
    left = model.generate(padded, attention_mask=mask, max_new_tokens=8, do_sample=False)
    both = model.generate(
        torch.cat([padded, ids[1:]]),
        attention_mask=torch.cat([mask, torch.ones(1, 20).long()]),
        max_new_tokens=8,
        do_sample=False,
    )
    assert alone[0, 12:].tolist() == left[0, 20:].tolist() == both[0, 20 : 20 + 8].tolist()


def test_padding_on_the_right_of_a_prompt_holds_no_keys(model: Any) -> None:
    ids = tokens(1, READ)
    cache = EvictingCache(HALF, model.config)
    mask = torch.ones_like(ids)
    mask[:, 12:] = 0
    with torch.inference_mode():
        model(input_ids=ids, attention_mask=mask, use_cache=True, **{cache_argument(model): cache})
    assert cache.layers[0].slots.max() == 11
    assert [layer.slots.shape[1] for layer in cache.layers] == [6, 4]  # half of 12, and no fewer than always stay


def test_one_token_can_be_gone_on_from() -> None:
    model = patched(llama(), HALF)
    written = model.generate(tokens(1, 1), attention_mask=torch.ones(1, 1).long(), max_new_tokens=9, do_sample=False)
    assert written.shape == (1, 10)


def test_beams_take_their_caches_along() -> None:
    """The text that won, read with a cache of its own, is as probable as the beams found it."""
    model = patched(llama(), HALF)
    ids = tokens(1, 12)
    found = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=6,
        num_beams=3,
        do_sample=False,
        length_penalty=0.0,
        output_scores=True,
        return_dict_in_generate=True,
    )
    cache = EvictingCache(HALF, model.config)
    with torch.inference_mode():
        pieces = (ids, found.sequences[:, 12:-1])
        logits = [model(input_ids=own, use_cache=True, **{cache_argument(model): cache}).logits for own in pieces]
    told = torch.cat([logits[0][:, -1:], logits[1]], dim=1).log_softmax(dim=2)
    probable = told.gather(2, found.sequences[:, 12:, None]).sum()
    assert float(probable) == pytest.approx(float(found.sequences_scores[0]), abs=1e-3)


def test_a_policy_of_another_model_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match="the policy is of 3 layers, the model has 2"):
        EvictingCache(Policy((1.0, 1.0, 1.0), 1, 3, 0.0, Accumulated()), model.config)


KEYS = 12


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(4, KEYS + 2),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    missing=st.integers(0, 4),
)
def test_what_is_chosen_fills_the_budget_and_never_exceeds_it(
    seed: int, budget: int, share: float, missing: int
) -> None:
    scores = torch.rand(1, 4, KEYS, generator=torch.Generator().manual_seed(seed))
    alive = torch.ones(1, KEYS, dtype=torch.bool)
    alive[:, :missing] = False
    kept = chosen(scores, alive, torch.tensor([budget]), Policy((0.5,), 1, 3, share, Accumulated()))
    assert int(kept.sum()) == min(budget, KEYS - missing)
    assert not (kept & ~alive).any()
    assert kept[0, missing], "a sink"
    assert kept[0, -3:].all(), "the window"


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_without_representatives_the_most_important_stay(seed: int) -> None:
    scores = torch.rand(1, 2, KEYS, generator=torch.Generator().manual_seed(seed))
    kept = chosen(scores, torch.ones(1, KEYS, dtype=torch.bool), torch.tensor([7]), HALF)
    best = scores[0, :, 1:-3].sum(dim=0).topk(3).indices + 1
    assert sorted(kept[0].nonzero().flatten().tolist()) == sorted([0, *best.tolist(), 9, 10, 11])


def test_of_keys_that_behave_alike_some_are_represented_however_small_their_scores() -> None:
    """Of two groups with opposite signatures the one that gets little is lost without representatives."""
    scores = torch.zeros(1, 4, 14)
    scores[0, ::2, 1:7] = 8.0 + torch.arange(6)  # heads 0 and 2 keep the first group
    scores[0, 1::2, 7:11] = 0.1 + 0.01 * torch.arange(4)  # heads 1 and 3 keep the second, of a tenth of that
    alive, budget = torch.ones(1, 14, dtype=torch.bool), torch.tensor([8])
    without = chosen(scores, alive, budget, Policy((0.5,), 1, 3, 0.0, Accumulated()))[0]
    with_some = chosen(scores, alive, budget, Policy((0.5,), 1, 3, 0.5, Accumulated()))[0]
    assert int(without[1:7].sum()) == 4
    assert int(without[7:11].sum()) == 0
    assert int(with_some[1:7].sum()) >= 2
    assert int(with_some[7:11].sum()) >= 1
    assert int(with_some.sum()) == 8


def test_masks_that_are_added_are_understood(model: Any) -> None:
    mask = torch.full((1, 1, READ, READ), torch.finfo(torch.float32).min).triu(1)
    with torch.inference_mode():
        plain, added = (model(input_ids=tokens(1, READ), attention_mask=own).logits for own in (None, mask))
    assert torch.allclose(plain, added, atol=1e-5)


def test_the_attention_has_one_name_in_both_interfaces(model: Any) -> None:
    assert model.config._attn_implementation == evicting.NAME
