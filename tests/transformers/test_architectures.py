"""Fused, transposed and shared layers are opened, pruned exactly, written under their own names and loaded again."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_for_tests import saved
from safetensors.torch import save_file
from transformers_for_tests import SMALL, language_folder, sentences_folder

from emoprune import plugins
from emoprune.contracts import about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.anatomy.closing import closed_state
from emoprune.problems.networks.transformers.anatomy.description import AttentionForm, FeedForwardForm, LayerForm
from emoprune.problems.networks.transformers.anatomy.drawn import SIZES, drawn
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.refused import REFUSED
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.architecture_checks import check_architecture, small_inputs
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.standalone.mixtures import unfused
from emoprune.problems.networks.transformers.standalone.opening import Fused
from emoprune.testing import conformance

# One name for each class: models of several types may be made alike.
INSTALLED = sorted({plugins.find("architecture", name): name for name in plugins.available("architecture")}.values())
for _name in INSTALLED:
    globals()[f"Test {_name}"] = conformance("architecture", _name, "heads-and-neurons")

BIG = {"vocab_size": 28, "hidden_size": 32}
VARIANTS: dict[str, Callable[[], Any]] = {
    "Falcon, one key head": partial(
        drawn, "FalconForCausalLM", "FalconConfig", **BIG, num_hidden_layers=2, num_attention_heads=4,
        new_decoder_architecture=False, multi_query=True,
    ),
    "Falcon, slopes": partial(
        drawn, "FalconForCausalLM", "FalconConfig", **BIG, num_hidden_layers=2, num_attention_heads=4,
        new_decoder_architecture=False, multi_query=False, alibi=True, bias=True,
    ),
    "GPT-BigCode, multi-head": partial(
        drawn, "GPTBigCodeForCausalLM", "GPTBigCodeConfig", vocab_size=28, n_embd=32, n_layer=2, n_head=4,
        n_positions=64, multi_query=False,
    ),
    "OLMo 3": partial(drawn, "Olmo3ForCausalLM", "Olmo3Config", **SIZES, num_key_value_heads=2, sliding_window=4),
    "OLMoE": partial(
        drawn, "OlmoeForCausalLM", "OlmoeConfig", **SIZES, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2
    ),
    "GLM": partial(drawn, "GlmForCausalLM", "GlmConfig", **SIZES, num_key_value_heads=2, head_dim=8),
    "DeBERTa v2, projections of positions": partial(
        drawn, "DebertaV2ForSequenceClassification", "DebertaV2Config", **SIZES, relative_attention=True,
        pos_att_type=["p2c", "c2p"], max_position_embeddings=64, share_att_key=False,
    ),
    "BEiT, one table for all": partial(
        drawn, "BeitForImageClassification", "BeitConfig",
        **{name: size for name, size in SIZES.items() if name != "vocab_size"}, image_size=16, patch_size=4,
        num_channels=1, use_relative_position_bias=False, use_shared_relative_position_bias=True,
    ),
}  # fmt: skip


class Variant:
    """An installed architecture with another small model."""

    def __init__(self, name: str) -> None:
        self.model = VARIANTS[name]()
        self.layer = plugins.method("architecture", self.model.config.model_type, "heads-and-neurons").layer

    def tiny(self) -> Any:
        return self.model


@pytest.mark.parametrize("name", VARIANTS)
def test_other_forms_of_an_architecture_are_pruned_exactly(name: str) -> None:
    check_architecture(lambda: Variant(name))


@pytest.mark.parametrize("name", INSTALLED)
def test_an_opened_model_is_written_under_the_names_and_in_the_shapes_of_its_library(name: str) -> None:
    architecture = plugins.method("architecture", name, "heads-and-neurons")
    model = architecture.tiny()
    before = {key: own.clone() for key, own in model.state_dict().items()}
    anatomy = anatomy_of(model, architecture.layer(model.config))
    found = closed_state(model, anatomy.opened, model.state_dict())
    assert set(found) == set(before)
    for key, own in before.items():
        assert torch.equal(found[key], own), key


def test_what_is_open_already_is_left_as_it_is() -> None:
    model = plugins.method("architecture", "gpt2", "heads-and-neurons").tiny()
    first = anatomy_of(model)
    parts = model.get_submodule("transformer.h.0.attn.c_attn")
    assert isinstance(parts, Fused)
    assert anatomy_of(model) == first
    assert model.get_submodule("transformer.h.0.attn.c_attn") is parts


def test_layers_that_share_their_weights_are_one_block_that_runs_many_times() -> None:
    model = plugins.method("architecture", "albert", "heads-and-neurons").tiny()
    anatomy = anatomy_of(model)
    assert [block.times for block in anatomy.blocks] == [2]
    assert model.config.num_hidden_layers == 2


def test_a_joint_norm_leaves_queries_and_keys_whole_and_narrows_the_rest() -> None:
    model = plugins.method("architecture", "olmo2", "heads-and-neurons").tiny()
    anatomy = anatomy_of(model)
    plan = BlockPlan.keeping(np.array([0, 3]), np.arange(48))
    made: Any = Narrower(model, anatomy).block(0, plan)
    shapes = [getattr(made.self_attn, f"{name}_proj").weight.shape for name in "qkvo"]
    assert shapes == [(32, 32), (16, 32), (16, 32), (32, 16)]


def test_a_pruned_gpt2_is_exported_and_loaded_again(tmp_path: Path) -> None:
    model = plugins.method("architecture", "gpt2", "heads-and-neurons").tiny()
    options: dict[str, Any] = {**language_folder(tmp_path, model), **SMALL, "references": []}
    problem = HeadsAndNeurons(**options)
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genome = problem.space.full.copy()
    genome[1:3] = [2, 1]
    problem.export_as(genome, tmp_path / "out", problem.formats[:1], verify=False)
    loaded = runpy.run_path(str(tmp_path / "out" / "load.py"))["load_model"]()
    ids = torch.arange(4, 14)[None]
    narrowed = problem.loaded.narrower.narrowed(problem.plans(genome))
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=ids).logits, narrowed(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


def test_a_pruned_classifier_that_builds_what_is_below_it_by_its_config_is_loaded_again(tmp_path: Path) -> None:
    model = drawn("LlamaForSequenceClassification", "LlamaConfig", **SIZES, num_key_value_heads=2)
    options: dict[str, Any] = {**sentences_folder(tmp_path), "model": str(saved(tmp_path / "model", model))}
    problem = HeadsAndNeurons(
        **options, task="text-classification", length=12, levels=4, references=[], accept_guessing=True
    )
    problem.prepare(tmp_path / "run", 1)
    problem.setup("cpu", 1)
    genome = problem.space.full.copy()
    genome[1:3] = [1, 1]
    problem.export_as(genome, tmp_path / "out", problem.formats[:1], verify=False)
    loaded = runpy.run_path(str(tmp_path / "out" / "load.py"))["load_model"]()
    ids = torch.arange(4, 14)[None]
    narrowed = problem.loaded.narrower.narrowed(problem.plans(genome))
    with torch.no_grad():
        torch.testing.assert_close(loaded(input_ids=ids).logits, narrowed(input_ids=ids).logits, rtol=1e-4, atol=1e-4)


SENTENCES = {**SIZES, "max_position_embeddings": 64}
IMAGES = {"num_channels": 1, "num_labels": 10, "depths": [1, 1], "hidden_sizes": [8, 16]}


@pytest.mark.parametrize(
    ("name", "config", "options", "complaint"),
    [
        ("LongformerForSequenceClassification", "Longformer", {**SENTENCES, "attention_window": 4}, "as many channels"),
        (
            "XmodForSequenceClassification",
            "Xmod",
            {**SENTENCES, "languages": ["en"], "default_language": "en"},
            "adapter",
        ),
        ("FNetForSequenceClassification", "FNet", SENTENCES, "Fourier"),
        ("MambaForCausalLM", "Mamba", SIZES, "no attention"),
        ("Gemma3nForCausalLM", "Gemma3nText", SIZES, "share keys and values"),
        ("WhisperForAudioClassification", "Whisper", {}, "listens to sound"),
        ("ConvNextForImageClassification", "ConvNext", {**IMAGES, "num_stages": 2}, "the problem `channels`"),
        ("SegformerForImageClassification", "Segformer", {**IMAGES, "num_encoder_blocks": 2}, "shorten keys"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.istitle() else None,
)
def test_a_family_that_cannot_be_pruned_is_refused_by_name_before_its_weights_are_read(
    tmp_path: Path, name: str, config: str, options: dict[str, Any], complaint: str
) -> None:
    import transformers

    made = getattr(transformers, f"{config}Config")(**options, architectures=[name])
    made.save_pretrained(tmp_path / "model")
    save_file({}, tmp_path / "model" / "model.safetensors")
    for task in ("language-modelling", "text-classification", "image-classification"):
        with pytest.raises(ConfigError, match=f"of the family '{made.model_type}' cannot be pruned .*{complaint}"):
            HeadsAndNeurons(model=str(tmp_path / "model"), data="digits", task=task)


def test_every_family_that_is_refused_is_one_of_transformers_and_has_no_description() -> None:
    from transformers import CONFIG_MAPPING

    assert set(REFUSED) <= set(CONFIG_MAPPING)
    assert not set(REFUSED) & set(plugins.available("architecture"))


def test_a_masked_language_model_taken_for_a_causal_one_is_refused_before_a_search(tmp_path: Path) -> None:
    model = drawn("BertForMaskedLM", "BertConfig", **SIZES)
    with pytest.raises(ConfigError, match="BertLMHeadModel computes its logits in a way that is not known"):
        HeadsAndNeurons(**language_folder(tmp_path, model), **SMALL)


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="nothing is run")
class Crossed:
    """GPT-2 with keys and values taken for each other."""

    def layer(self, _config: Any) -> LayerForm:
        return LayerForm(
            AttentionForm("attn", "attn.c_proj", fused="attn.c_attn", grouped=True),
            feed_forwards=(FeedForwardForm("mlp.c_proj", ("mlp.c_fc",)),),
        )

    def tiny(self) -> Any:
        return plugins.method("architecture", "gpt2", "heads-and-neurons").tiny()


def test_a_wrong_description_is_found_out() -> None:
    with pytest.raises(ContractError, match=r"cannot be narrowed exactly \(uneven heads and neurons"):
        check_architecture(Crossed)


@about("pruning", ["heads", "neurons"], serves=["heads-and-neurons"], cost="nothing is run")
class Pythia:
    """A stranger's description."""

    def layer(self, _config: Any) -> LayerForm:
        return LayerForm(
            AttentionForm("attention", "attention.dense", fused="attention.query_key_value", grouped=True),
            feed_forwards=(FeedForwardForm("mlp.dense_4h_to_h", ("mlp.dense_h_to_4h",)),),
        )

    def tiny(self) -> Any:
        return drawn("GPTNeoXForCausalLM", "GPTNeoXConfig", **SIZES)


TestPythia = conformance("architecture", Pythia)


def test_a_model_that_is_not_as_described_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected one stack of layers|unknown kind"):
        anatomy_of(drawn("LlamaForCausalLM", "LlamaConfig", **SIZES), Pythia().layer(None))


@pytest.mark.parametrize(
    ("architecture", "name", "config", "options", "complaint"),
    [
        ("deberta", "DebertaModel", "DebertaConfig", {**SIZES, "talking_head": True}, "mixes heads"),
        ("albert", "AlbertModel", "AlbertConfig", {**SIZES, "num_hidden_groups": 2}, "found 2 groups of 1"),
    ],
)
def test_a_form_that_cannot_be_pruned_is_refused_by_name(
    architecture: str, name: str, config: str, options: dict[str, Any], complaint: str
) -> None:
    del architecture
    with pytest.raises(ConfigError, match=complaint):
        anatomy_of(drawn(name, config, **options))


def test_inputs_of_a_small_model_are_of_its_kind() -> None:
    beit = plugins.method("architecture", "beit", "heads-and-neurons").tiny()
    assert set(small_inputs(beit)) == {"pixel_values"}
    assert set(small_inputs(unfused(drawn("LlamaForCausalLM", "LlamaConfig", **SIZES)))) == {
        "input_ids",
        "attention_mask",
    }
