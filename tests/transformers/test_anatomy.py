"""Heads, neurons and layers are really cut out: the smaller model puts out what the masked one does, for every kind."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from language_for_tests import llama
from transformers_for_tests import KINDS, SIZES, inputs_of

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.anatomy.checking import check_narrowing, first_output
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.masking import masked
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import Anatomy, BlockPlan
from emoprune.problems.networks.transformers.cost import CostModel
from emoprune.problems.networks.transformers.standalone.attentions import Repeated
from emoprune.problems.networks.transformers.standalone.mixtures import unfused


def ready(kind: str) -> tuple[Any, Anatomy, dict[str, torch.Tensor]]:
    model = unfused(KINDS[kind]()).eval().requires_grad_(False)
    return model, anatomy_of(model), inputs_of(kind)


def drawn_plans(anatomy: Anatomy, seed: int) -> list[BlockPlan]:
    """Return plans that keep any heads and neurons, and now and then drop a layer, but never all of them."""
    rng, plans = np.random.default_rng(seed), []
    for number, block in enumerate(anatomy.blocks):
        heads = np.flatnonzero(rng.random(block.attention.heads) < rng.random())
        neurons = np.flatnonzero(rng.random(block.neurons) < rng.random())
        plans.append(BlockPlan(seed, number == 0 or rng.random() < 0.8, heads, neurons))
    return plans


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrowed_model_puts_out_what_the_masked_one_does_and_has_the_counted_parameters(kind: str) -> None:
    model, anatomy, inputs = ready(kind)
    check_narrowing(model, anatomy, inputs)
    one = {name: tensor[:1] for name, tensor in inputs.items()}
    cost = CostModel(model, anatomy, one, 12)
    for seed in range(6):
        plans = drawn_plans(anatomy, seed)
        with torch.no_grad(), masked(model, anatomy, plans):
            expected = first_output(model(**inputs))
        narrowed = Narrower(model, anatomy).narrowed(plans)
        with torch.no_grad():
            found = first_output(narrowed(**inputs))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        unique = {id(own): own.numel() for own in narrowed.parameters()}
        assert sum(unique.values()) == cost.counted(plans)["parameters"]


@pytest.mark.parametrize(("key_value_heads", "kind"), [(4, "multi-head"), (2, "grouped-query"), (1, "multi-query")])
def test_the_kind_of_an_attention_is_told_by_its_shared_keys(key_value_heads: int, kind: str) -> None:
    attention = anatomy_of(llama(4, key_value_heads)).blocks[0].attention
    assert (attention.kind, attention.heads, attention.width) == (kind, 4, 8)


def test_experts_as_modules_of_their_own_put_out_what_the_fused_ones_do() -> None:
    fused, inputs = KINDS["Mixtral"](), inputs_of("Mixtral")
    with torch.no_grad():
        expected = fused(**inputs).logits
        found = unfused(fused)(**inputs).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_unevenly_shared_keys_are_repeated_and_even_ones_are_left_to_the_library() -> None:
    model = llama(4, 2)
    anatomy = anatomy_of(model)
    neurons = np.arange(48)

    def keys_of(heads: list[int]) -> Any:
        plan = BlockPlan(1, True, np.array(heads), neurons)
        return Narrower(model, anatomy).block(0, plan).get_submodule("self_attn")

    uneven, even = keys_of([0, 2, 3]), keys_of([1, 3])
    assert isinstance(uneven.k_proj, Repeated)
    assert uneven.num_key_value_groups == 1
    assert not isinstance(even.k_proj, Repeated)
    assert (even.k_proj.out_features, even.num_key_value_groups) == (16, 1)
    assert keys_of([2, 3]).k_proj.out_features == 8


def test_the_unpruned_model_is_left_alone_and_shares_what_is_not_cut() -> None:
    model, anatomy, inputs = ready("grouped-query Llama")
    before = first_output(model(**inputs))
    plans = [anatomy.whole(0), BlockPlan(1, True, np.array([0]), np.array([3, 5]))]
    narrowed = Narrower(model, anatomy).narrowed(plans)
    assert narrowed.model.embed_tokens.weight is model.model.embed_tokens.weight
    assert torch.equal(first_output(model(**inputs)), before)
    assert model.config.num_hidden_layers == 2


def test_a_model_without_some_of_its_layers_generates() -> None:
    model, anatomy, _ = ready("grouped-query Llama")
    plans = [BlockPlan(0, False, np.arange(4), np.arange(48)), BlockPlan(1, True, np.array([0, 1, 3]), np.arange(9))]
    narrowed = Narrower(model, anatomy).narrowed(plans)
    assert narrowed.config.num_hidden_layers == 1
    ids = torch.tensor([[5, 6, 7]])
    with_keys = narrowed.generate(ids, max_new_tokens=5, do_sample=False, use_cache=True)
    without = narrowed.generate(ids, max_new_tokens=5, do_sample=False, use_cache=False)
    assert torch.equal(with_keys, without)


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        (
            "OpenAIGPTLMHeadModel",
            {"vocab_size": 28, "n_embd": 32, "n_layer": 2, "n_head": 4},
            r"attention of OpenAIGPTLMHeadModel \(.*Attention.*\) is of an unknown kind",
        ),
        ("FNetForSequenceClassification", SIZES, "attention of FNetForSequenceClassification .none found"),
        ("SqueezeBertForSequenceClassification", {**SIZES, "embedding_size": 32}, "is of an unknown kind"),
    ],
)
def test_a_model_of_an_unknown_kind_is_refused_by_name(name: str, options: dict[str, Any], complaint: str) -> None:
    import transformers

    config = getattr(transformers, re.split("For|LMHead", name)[0] + "Config")
    with pytest.raises(ConfigError, match=complaint):
        anatomy_of(getattr(transformers, name)(config(**options)))


def test_an_encoder_with_a_decoder_that_no_architecture_describes_is_refused() -> None:
    from transformers import WhisperConfig, WhisperModel

    config = WhisperConfig(
        vocab_size=28, d_model=32, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=48, decoder_ffn_dim=48,
        encoder_attention_heads=4, decoder_attention_heads=4, num_mel_bins=8, pad_token_id=3, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"expected one stack of layers"):
        anatomy_of(WhisperModel(config))


def test_an_attention_that_is_more_than_its_projections_is_found_out_before_a_search() -> None:
    from transformers import LongformerConfig, LongformerModel

    model = LongformerModel(LongformerConfig(**SIZES, attention_window=4, pad_token_id=3)).eval()
    with pytest.raises(ConfigError, match=r"LongformerModel cannot be narrowed exactly \(uneven heads and neurons"):
        check_narrowing(model, anatomy_of(model), inputs_of("BERT"))


def test_a_model_that_changes_its_layers_while_it_runs_is_found_out_before_a_search() -> None:
    from transformers import BigBirdConfig, BigBirdModel

    model = BigBirdModel(BigBirdConfig(**SIZES, block_size=4, pad_token_id=3)).eval()
    with pytest.raises(ConfigError, match="BigBirdModel puts other modules into its layers while it runs"):
        check_narrowing(model, anatomy_of(model), inputs_of("BERT"))


def test_a_plan_needs_rising_indices() -> None:
    with pytest.raises(ContractError, match="heads: expected rising indices"):
        BlockPlan(0, True, np.array([2, 1]), np.arange(3))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 7), unique=True, min_size=1), st.sampled_from([1, 2, 4, 8]))
def test_every_query_head_takes_the_key_of_its_own_group(heads: list[int], key_value_heads: int) -> None:
    attention = anatomy_of(llama(8, key_value_heads, layers=1)).blocks[0].attention
    kept = np.sort(np.array(heads))
    needed, place = attention.owners(kept)
    assert np.array_equal(needed[place], kept // attention.group)
    assert set(needed.tolist()) == set((kept // attention.group).tolist())


def test_plans_that_keep_other_units_have_other_keys() -> None:
    few, many = np.arange(2), np.arange(3)
    assert BlockPlan.keeping(few, many).key == BlockPlan.keeping(few.copy(), many.copy()).key
    keys = {BlockPlan.keeping(*units).key for units in ((few, many), (many, few), (few, few), (many, many))}
    assert len(keys) == 4
