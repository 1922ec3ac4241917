"""Adapters: a folder that holds one, alone or beside a model, is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from language_for_tests import llama, saved
from safetensors.torch import load_file, save_file

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import language_model


def with_adapter(place: Path) -> Path:
    place.mkdir(exist_ok=True)
    (place / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/model"}))
    save_file({"base_model.lora_A.weight": torch.zeros(1)}, place / "adapter_model.safetensors")
    return place


def test_a_folder_with_an_adapter_alone_says_that_it_is_merged_into_its_model(tmp_path: Path) -> None:
    place = with_adapter(tmp_path / "adapter")
    with pytest.raises(
        ConfigError, match=r"holds an adapter \(adapter_config.json\), no model; merge it: .*owner/model"
    ):
        language_model(str(place))


def test_an_adapter_that_was_left_beside_a_model_is_named_with_what_to_do(tmp_path: Path) -> None:
    place = with_adapter(saved(tmp_path / "model", llama()))
    with pytest.raises(ConfigError, match=r"a model and an adapter beside it .* take the adapter's files out"):
        language_model(str(place))


def test_weights_with_an_adapter_around_them_are_said_to_be_merged(tmp_path: Path) -> None:
    place = saved(tmp_path / "model", llama())
    path = place / "model.safetensors"
    state = load_file(path)
    name = "model.layers.0.self_attn.q_proj"
    state[f"{name}.base_layer.weight"] = state.pop(f"{name}.weight")
    state[f"{name}.lora_A.default.weight"] = torch.zeros(2, 32)
    save_file(state, path, {"format": "pt"})
    with pytest.raises(ConfigError, match=r"holds an adapter that was not merged .*merge_and_unload"):
        language_model(str(place))


def test_a_merged_adapter_is_a_model_like_any_other(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = llama()
    wrapped = peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"], r=2))
    merged = wrapped.merge_and_unload()
    place = saved(tmp_path / "merged", merged)
    assert language_model(str(place)).missing == ()
