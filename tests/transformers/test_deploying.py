"""What is exported deploys: it writes the same text with a cache, loads with plain transformers, keeps its folder."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_for_tests import VOCABULARY, drawn, llama, saved, text, tokenizer
from transformers_for_tests import KINDS, SIZES, SMALL, language_folder, sentences_folder

from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.transformers.anatomy.finding import anatomy_of
from emoprune.problems.networks.transformers.anatomy.narrowing import Narrower
from emoprune.problems.networks.transformers.anatomy.structure import BlockPlan
from emoprune.problems.networks.transformers.export import export as exporting
from emoprune.problems.networks.transformers.export import folders
from emoprune.problems.networks.transformers.export.ancestry import ancestry_of
from emoprune.problems.networks.transformers.export.checkpoint import said_of_modules
from emoprune.problems.networks.transformers.export.writing_on import WritingOn
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.options import HeadsAndNeuronsOptions
from emoprune.problems.networks.transformers.standalone.attentions import NoHeads
from emoprune.problems.networks.transformers.standalone.configs import say_layers
from emoprune.problems.networks.transformers.standalone.generating import apart, written
from emoprune.problems.networks.transformers.standalone.mixtures import unfused
from emoprune.problems.networks.transformers.weights.bits import TransformerBitWidths
from emoprune.problems.networks.transformers.weights.options import TransformerWeightRatioOptions
from emoprune.problems.networks.transformers.weights.ratios import TransformerWeightRatios
from emoprune.records import Split

SEEDS = np.zeros(1, dtype=np.uint64)
FEW = {name: value for name, value in SMALL.items() if name != "levels"}  # for problems without such
SHAPE = {**SIZES, "num_hidden_layers": 3, "pad_token_id": 3, "max_position_embeddings": 64}
GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
CAUSAL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Llama": ("LlamaConfig", "LlamaForCausalLM", {**SHAPE, **GROUPED}),
    "Qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {**SHAPE, "num_key_value_heads": 2}),
    "Qwen2, sliding from a layer on": (
        "Qwen2Config",
        "Qwen2ForCausalLM",
        {**SHAPE, "num_key_value_heads": 2, "use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    ),
    "Mixtral": (
        "MixtralConfig",
        "MixtralForCausalLM",
        {**SHAPE, **GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "Phi": ("PhiConfig", "PhiForCausalLM", {**SHAPE, "partial_rotary_factor": 0.5}),
    "StableLM": ("StableLmConfig", "StableLmForCausalLM", {**SHAPE, "num_key_value_heads": 2}),
    "GPT-Neo": (
        "GPTNeoConfig",
        "GPTNeoForCausalLM",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_layers": 3,
            "num_heads": 4,
            "attention_types": [[["global", "local", "global"], 1]],
            "window_size": 4,
            "pad_token_id": 3,
            "max_position_embeddings": 64,
            "initializer_range": 0.2,
        },
    ),
    "Gemma 3": (
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        {
            **SHAPE,
            **GROUPED,
            "sliding_window": 4,
            "query_pre_attn_scalar": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
}


def causal(kind: str) -> Any:
    import transformers

    config, model, values = CAUSAL[kind]
    return drawn(getattr(transformers, model), getattr(transformers, config)(**values)).requires_grad_(False)


def plans_of(anatomy: Any, case: str) -> list[BlockPlan]:
    """Return plans with a first layer without heads, or without the first layer."""
    plans = [anatomy.whole(number) for number in range(len(anatomy.blocks))]
    heads, neurons = plans[0].heads, plans[0].neurons
    first = {
        "no heads first": BlockPlan("first", True, heads[:0], neurons[::2]),
        "first layer dropped": BlockPlan("gone", False, heads, neurons),
    }[case]
    return [first, *plans[1:-1], BlockPlan("last", True, heads, neurons[:20])]


def prompts() -> dict[str, torch.Tensor]:
    ids = torch.randint(4, VOCABULARY, (3, 12), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, :4], mask[2, :9] = 0, 0
    return {"input_ids": ids.masked_fill(mask == 0, 3), "attention_mask": mask}


@pytest.mark.parametrize("case", ["no heads first", "first layer dropped"])
@pytest.mark.parametrize("kind", CAUSAL)
def test_a_narrowed_model_writes_the_same_text_with_a_cache(kind: str, case: str) -> None:
    model = unfused(causal(kind))
    anatomy = anatomy_of(model)
    narrowed = Narrower(model, anatomy).narrowed(plans_of(anatomy, case))
    without, with_cache = (written(narrowed, prompts(), 8, cached=cached) for cached in (False, True))
    assert torch.equal(without["tokens"], with_cache["tokens"])
    assert apart(with_cache, without) < 1e-3


@pytest.mark.parametrize("asked", [{"cache_implementation": "static"}, {"num_beams": 3}])
def test_a_layer_without_heads_has_its_place_in_every_cache(asked: dict[str, Any]) -> None:
    model = unfused(causal("Gemma 3"))
    narrowed = Narrower(model, anatomy_of(model)).narrowed(plans_of(anatomy_of(model), "no heads first"))
    given = {**prompts(), "max_new_tokens": 8, "do_sample": False, "pad_token_id": 3}
    beams = {name: own for name, own in asked.items() if name == "num_beams"}
    assert torch.equal(narrowed.generate(**given, **asked), narrowed.generate(**given, **beams, use_cache=False))


def test_a_row_of_a_padded_batch_is_written_on_as_by_itself() -> None:
    model = unfused(causal("Qwen2"))
    narrowed = Narrower(model, anatomy_of(model)).narrowed(plans_of(anatomy_of(model), "no heads first"))
    batch = written(narrowed, prompts(), 8, cached=True)["tokens"]
    for row, (ids, mask) in enumerate(zip(*prompts().values(), strict=True)):
        alone = {"input_ids": ids[mask == 1][None], "attention_mask": mask[mask == 1][None]}
        assert torch.equal(written(narrowed, alone, 8, cached=False)["tokens"][0], batch[row])


def ready(place: Path, names: dict[str, str], **more: Any) -> HeadsAndNeurons:
    made = HeadsAndNeurons(**{**SMALL, "references": [], **names, **more})
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def exported(problem: HeadsAndNeurons, genome: Any, folder: Path) -> Any:
    """Return the evaluated model; it is written, and not verified in a fresh process, which other tests wait for."""
    folder.mkdir()
    problem.export_as(genome, folder, ["safetensors"], verify=False)
    return problem.loaded.narrower.narrowed(problem.plans(genome))


def same_logits(model: Any, other: Any) -> bool:
    with torch.no_grad():
        return torch.allclose(model(**prompts()).logits, other(**prompts()).logits, atol=1e-4)


def test_a_model_that_forgets_its_cache_is_not_exported(tmp_path: Path) -> None:
    problem = ready(tmp_path, language_folder(tmp_path), whole_groups=False)
    genome = problem.space.full.copy()
    genome[1] = 0
    model = problem.loaded.narrower.narrowed(problem.plans(genome))
    own = WritingOn.of(model, problem.open().task)
    assert own is not None
    right = apart(written(model, own.prompts, own.tokens, cached=True), own.wanted)
    assert "with a cache the same as without" in own.judged({"load.py": right}, problem.open())
    for module in model.modules():
        if isinstance(module, NoHeads):
            module.layer_idx = None
    wrong = apart(written(model, own.prompts, own.tokens, cached=True), own.wanted)
    with pytest.raises(ContractError, match="with a cache the model writes something else than the evaluated one"):
        own.judged({"load.py": wrong}, problem.open())


@pytest.mark.parametrize("kind", ["Qwen2, sliding from a layer on", "Mixtral", "GPT-Neo", "Gemma 3"])
def test_a_model_without_some_layers_loads_with_plain_from_pretrained(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    problem = ready(tmp_path, language_folder(tmp_path, causal(kind)), smallest=1, repair="none")
    genome = problem.space.full.copy()
    genome[0] = 0
    genome = problem.canonical(genome[None])[0]
    model = exported(problem, genome, tmp_path / "exported")
    found, info = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", output_loading_info=True)
    assert not any(info.values())
    assert type(found).__name__ == CAUSAL[kind][1]
    assert found.config.num_hidden_layers == 2
    assert same_logits(found.eval(), model)
    assert torch.equal(
        written(found, prompts(), 8, cached=True)["tokens"], written(model, prompts(), 8, cached=False)["tokens"]
    )
    assert not (tmp_path / "exported" / "modeling_pruned.py").exists()


@pytest.mark.parametrize(
    ("before", "kept", "after"),
    [
        ({"layer_types": ["a", "b", "c"]}, [0, 2], {"layer_types": ["a", "c"]}),
        ({"max_window_layers": 2}, [1, 2], {"max_window_layers": 1}),
        ({"mlp_only_layers": [0, 2]}, [1, 2], {"mlp_only_layers": [1]}),
        ({"no_rope_layers": [1, 1, 0]}, [0, 2], {"no_rope_layers": [1, 0]}),
        ({"eos_token_id": [2, 4, 5]}, [0, 2], {"eos_token_id": [2, 4, 5]}),
        ({"intermediate_size": [8, 9, 10]}, [2], {"intermediate_size": [10]}),
    ],
)
def test_a_config_says_of_the_layers_that_are_left_what_it_said_of_all(
    before: dict[str, Any], kept: list[int], after: dict[str, Any]
) -> None:
    from types import SimpleNamespace

    config = SimpleNamespace(num_hidden_layers=3, **before)
    say_layers(config, kept)
    assert vars(config) == {"num_hidden_layers": len(kept), **after}


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Mixtral"])
def test_uniform_widths_load_with_plain_from_pretrained(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    problem = ready(tmp_path, language_folder(tmp_path, causal(kind)), uniform=True, criterion="magnitude")
    assert len(problem.space) == 3 + 2
    genome = problem.space.full.copy()
    genome[[1, 3, 4]] = 0, 0, 1
    model = exported(problem, genome, tmp_path / "exported")
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval()
    assert (found.config.num_attention_heads, found.config.num_key_value_heads) == (2, 1)
    assert found.config.intermediate_size == (16 if kind == "Mixtral" else 12)
    assert same_logits(found, model)
    (_, parameters) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert found.num_parameters() == parameters


def test_a_folder_says_why_it_carries_code(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**{**SIZES, "max_position_embeddings": 64, "pad_token_id": 3})
    saved(tmp_path / "model", drawn(BertForSequenceClassification, config))
    names = {**sentences_folder(tmp_path), "model": str(tmp_path / "model"), "task": "text-classification"}
    problem = ready(tmp_path, names, calibration=12, uniform=True, accept_guessing=True)
    said = {}
    for name, changed in {"whole": {}, "fewer heads": {-2: 1}, "fewer neurons": {-1: 1}}.items():
        genome = problem.space.full.copy()
        for place, level in changed.items():
            genome[place] = level
        exported(problem, genome, tmp_path / name)
        said[name] = json.loads((tmp_path / name / "pruning.json").read_text())["code because"]
    assert said["whole"] is None
    assert said["fewer neurons"] is None
    assert said["fewer heads"].startswith(
        "BertForSequenceClassification itself does not take these widths from its config"
    )
    assert said["fewer heads"] in (tmp_path / "fewer heads" / "README.md").read_text()


def test_uniform_genomes_stay_legal_when_references_pick_them(tmp_path: Path) -> None:
    names = language_folder(tmp_path, causal("Llama"))
    problem = ready(tmp_path, names, uniform=True, references=["uniform", "dropped-layers"], percentages=[70])
    widths = {
        (len(plan.heads), len(plan.neurons))
        for reference in problem.references()
        for plan in problem.plans(reference.genome)
        if plan.kept
    }
    assert len(problem.references()) == 3
    assert len(widths) == 2


def test_every_level_of_a_uniform_mixture_keeps_the_counted_neurons_and_its_experts_alike(tmp_path: Path) -> None:
    names = language_folder(tmp_path, KINDS["Qwen2-MoE, a shared expert"]())
    problem = ready(tmp_path, names, uniform=True, criterion="magnitude", levels=8)
    blocks, levels = problem.open().anatomy.blocks, problem.space.levels.tolist()
    before = 0
    for level in range(levels[-1]):
        genome = problem.space.full.copy()
        genome[-1] = level
        kept = [
            [len(own) for own in block.split(plan.neurons)]
            for block, plan in zip(blocks, problem.plans(genome), strict=True)
        ]
        assert kept[0] == kept[1]
        assert len(set(kept[0][:-1])) == 1
        assert sum(kept[0]) > before
        before = sum(kept[0])
    assert before == blocks[0].neurons


def test_uniform_widths_need_layers_that_are_alike(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="uniform: expected genes: levels, whole_groups: true and a model whose"):
        HeadsAndNeurons(**language_folder(tmp_path), **{**SMALL, "genes": "bits"}, uniform=True)


def test_an_unevenly_narrowed_model_loads_with_code_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers
    from transformers import AutoModelForCausalLM, dynamic_module_utils, pipeline

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    problem = ready(tmp_path, language_folder(tmp_path), whole_groups=False)
    genome = problem.space.full.copy()
    genome[1], genome[4], genome[5], genome[6] = 0, 3, 2, 0
    genome = problem.canonical(genome[None])[0]
    folder = tmp_path / "exported"
    model = exported(problem, genome, folder)
    found, info = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, output_loading_info=True)
    assert not any(info.values())
    assert same_logits(found.eval(), model)
    again = found.save_pretrained(tmp_path / "again") or AutoModelForCausalLM.from_pretrained(
        tmp_path / "again", trust_remote_code=True
    )
    assert same_logits(again.eval(), model)
    assert found.config.num_hidden_layers == 2
    below = transformers.AutoModel.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        assert torch.equal(found.lm_head(below(**prompts())[0]), found(**prompts()).logits)
    writing = pipeline("text-generation", model=str(folder), trust_remote_code=True)
    words = writing("the cat sees", max_new_tokens=4, do_sample=False)[0]["generated_text"]
    assert words.startswith("the cat sees")
    with pytest.raises(ValueError, match="contains custom code"):
        transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False)


def bfloat16_folder(place: Path) -> dict[str, str]:
    """Write a model in bfloat16 shards that ends at one of two tokens, with a chat template and an added token."""
    model = llama(layers=3).to(torch.bfloat16)
    model.resize_token_embeddings(VOCABULARY + 1)
    model.generation_config.eos_token_id = [2, 4]
    model.generation_config.repetition_penalty = 1.1
    model.save_pretrained(place / "model", max_shard_size="40KB")
    own = tokenizer()
    own.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    own.add_tokens(["<one>"])
    own.save_pretrained(place / "model")
    (place / "model" / "preprocessor_config.json").write_text('{"size": 7}')
    (place / "words.txt").write_text(text(4000), encoding="utf-8")
    return {"model": str(place / "model"), "data": str(place / "words.txt")}


def test_a_model_is_exported_in_the_numbers_of_its_checkpoint_with_everything_its_folder_says(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    problem = ready(tmp_path, bfloat16_folder(tmp_path), objectives=["perplexity", "bytes"])
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    genome = problem.space.full.copy()
    genome[[2, 4]] = 2, 1
    folder = tmp_path / "exported"
    model = exported(problem, genome, folder)
    content = (folder / "model.safetensors").read_bytes()
    (_, counted) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert len(content) - 8 - int.from_bytes(content[:8], "little") == counted
    found = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype="auto")
    assert found.dtype == torch.bfloat16
    assert same_logits(found.float().eval(), model)
    assert found.generation_config.eos_token_id == [2, 4]
    assert found.generation_config.repetition_penalty == 1.1
    own = AutoTokenizer.from_pretrained(folder)
    assert own.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False) == "hello"
    assert "<one>" in own.get_added_vocab()
    assert json.loads((folder / "preprocessor_config.json").read_text()) == {"size": 7}


def test_coded_weights_take_their_bits_and_all_others_those_of_the_checkpoint(tmp_path: Path) -> None:
    problem = ready(tmp_path, bfloat16_folder(tmp_path), bits=[4, 8, 32], objectives=["perplexity", "bytes"])
    genome = problem.space.full.copy()
    genome[[3, 5, 7]] = 0, 1, 1
    folder = tmp_path / "exported"
    folder.mkdir()
    problem.export_as(genome, folder, ["packed"], verify=False)
    content = (folder / "packed.safetensors").read_bytes()
    (_, counted) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert len(content) - 8 - int.from_bytes(content[:8], "little") == counted
    model = problem.loaded.narrower.narrowed(problem.plans(genome))
    assert same_logits(runpy.run_path(str(folder / "load.py"))["load_model"](folder), model)


def test_the_weights_of_a_folder_with_code_lie_in_shards_where_one_file_would_be_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "SHARD", "40KB")
    problem = ready(tmp_path, bfloat16_folder(tmp_path), objectives=["perplexity", "bytes"])
    genome = problem.space.full.copy()
    genome[[2, 4]] = 2, 1
    model = exported(problem, genome, tmp_path / "exported")
    files = sorted((tmp_path / "exported").glob("*.safetensors"))
    index = json.loads((tmp_path / "exported" / "model.safetensors.index.json").read_text())
    assert len(files) > 1
    assert max(path.stat().st_size for path in files) < 48_000
    assert set(index["weight_map"].values()) == {path.name for path in files}
    (_, counted) = problem.evaluate(genome[None], SEEDS, Split.TEST)[0]
    assert sum(own.nbytes for path in files for own in load(path)) == counted == index["metadata"]["total_size"]
    found = runpy.run_path(str(tmp_path / "exported" / "load.py"))["load_model"]()
    assert found.dtype == torch.bfloat16
    assert same_logits(found.float(), model)


@pytest.mark.parametrize(
    "kind", ["weights", *(pytest.param(own, marks=pytest.mark.slow) for own in ("patterns", "bits"))]
)
def test_zeroed_and_coded_weights_are_counted_and_packed_in_the_numbers_of_the_checkpoint(
    kind: str, tmp_path: Path
) -> None:
    names = {**bfloat16_folder(tmp_path), **FEW, "references": [], "objectives": ["perplexity", "bytes"]}
    problem: Any = {
        "weights": lambda: TransformerWeightRatios(**names, saliency="magnitude", shares=[0.02, 0.5, 1.0]),
        "patterns": lambda: TransformerWeightRatios(**names, saliency="magnitude", pattern="n:m"),
        "bits": lambda: TransformerBitWidths(**names, bits=[3, 8, 32]),
    }[kind]()
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    (_, whole), (_, counted) = problem.evaluate(np.stack([problem.space.full, genome_of(problem)]), SEEDS, Split.TEST)
    assert whole == sum(own.nbytes for path in (tmp_path / "model").glob("*.safetensors") for own in load(path))
    folder = tmp_path / "exported"
    folder.mkdir()
    problem.export_as(genome_of(problem), folder, ["packed"], verify=False)
    content = (folder / "packed.safetensors").read_bytes()
    assert len(content) - 8 - int.from_bytes(content[:8], "little") == counted
    model = problem.loaded.narrower.narrowed(problem.plans(genome_of(problem)))
    assert same_logits(runpy.run_path(str(folder / "load.py"))["load_model"](folder), model)


def genome_of(problem: Any) -> Any:
    return np.random.default_rng(0).integers(problem.space.levels)


def load(path: Path) -> Any:
    from safetensors.torch import load_file

    return load_file(path).values()


def test_an_earlier_run_of_weights_counts_and_exports_32_bit_floats(tmp_path: Path) -> None:
    now = {**bfloat16_folder(tmp_path), **FEW, "references": [], "own_conventions": True}
    options = TransformerWeightRatioOptions.of_earlier(now, ["perplexity", "bytes"])
    problem = TransformerWeightRatios(**options)
    assert problem.counted(problem.plans(problem.space.full))["bytes"] == 4 * sum(
        own.numel() for own in problem.open().task.model.parameters()
    )


def test_a_model_with_zeros_is_exported_in_the_numbers_of_its_checkpoint(tmp_path: Path) -> None:
    problem = TransformerWeightRatios(**bfloat16_folder(tmp_path), **FEW, references=[], saliency="magnitude")
    problem.prepare(tmp_path / "kept", 1)
    problem.setup("cpu", 1)
    genome = np.zeros_like(problem.space.full)
    folder = tmp_path / "exported"
    folder.mkdir()
    problem.export_as(genome, folder, ["safetensors"], verify=False)
    from transformers import AutoModelForCausalLM

    found = AutoModelForCausalLM.from_pretrained(folder)
    assert found.dtype == torch.bfloat16
    assert same_logits(found.float().eval(), problem.loaded.narrower.narrowed(problem.plans(genome)))


def test_another_dtype_is_measured_and_written_if_it_is_asked_for(tmp_path: Path) -> None:
    problem = ready(tmp_path, language_folder(tmp_path), dtype="float16", objectives=["perplexity", "bytes"])
    (_, half) = problem.evaluate(problem.space.full[None], SEEDS, Split.TEST)[0]
    whole = HeadsAndNeurons(**language_folder(tmp_path / "other"), **SMALL).counted(problem.plans(problem.space.full))
    assert half == whole["bytes"] / 2
    model = problem.open().task.model
    assert all(torch.equal(own, own.half().float()) for own in model.parameters())


def numbers_cached(model: Any, tokens: int) -> int:
    with torch.no_grad():
        cache = model(input_ids=torch.arange(tokens)[None] % VOCABULARY, use_cache=True).past_key_values
    return sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)


@pytest.mark.parametrize("whole_groups", [True, False])
def test_the_counted_cache_is_what_the_model_keeps(whole_groups: bool, tmp_path: Path) -> None:
    names = language_folder(tmp_path, llama(8, 2, layers=3))
    problem = ready(tmp_path, names, whole_groups=whole_groups, levels=8, drop_layers=False)
    sizes = set()
    for heads in range(int(problem.space.levels[0])):
        genome = problem.space.full.copy()
        genome[[0, 2]] = heads, min(heads + 1, problem.space.levels[2] - 1)
        plans = problem.plans(genome)
        found = problem.counted(plans)["kv-bytes"]
        assert found == 4 * numbers_cached(problem.loaded.narrower.narrowed(plans), 5) / 5
        sizes.add(found)
    unpruned = problem.counted(problem.plans(problem.space.full))["kv-bytes"]
    assert (max(sizes) > unpruned) == (not whole_groups)


def test_seven_of_eight_query_heads_of_two_keys_keep_more_than_all_of_them(tmp_path: Path) -> None:
    names = language_folder(tmp_path, llama(8, 2, layers=3))
    problem = ready(tmp_path, names, whole_groups=False, levels=8, drop_layers=False)
    genome = problem.space.full.copy()
    genome[[0, 2]] -= 1
    described = problem.describe(genome)
    assert [described[f"layer {number}"].split(",")[0] for number in range(3)] == [
        *["7 of 8 heads"] * 2,
        "8 of 8 heads",
    ]
    assert (described["kv-bytes"], described["kv-bytes share"]) == (128 * 4, round(128 / 48, 4))
    together = HeadsAndNeurons(**names, **{**SMALL, "levels": 8})
    assert together.space.levels[1] == 3


def test_a_bound_on_the_cache_is_kept_and_groups_shows_it(tmp_path: Path) -> None:
    names = language_folder(tmp_path)
    problem = ready(tmp_path, names, objectives=["perplexity", "kv-bytes"], at_most={"kv-bytes-share": 0.7})
    assert problem.inspect().summary["kv-bytes unpruned"] == 3 * 2 * 2 * 8 * 4
    small = problem.space.full.copy()
    small[[1, 4]] = 1
    found = problem.evaluate(np.stack([problem.space.full, small]), np.zeros(2, dtype=np.uint64), Split.TEST)
    assert [row[1:] for row in found] == [[384.0, 1.0], [256.0, pytest.approx(2 / 3)]]
    with pytest.raises(ConfigError, match="at_most: no candidate can ever meet kv-bytes of at most 2"):
        HeadsAndNeurons(**names, **SMALL, at_most={"kv-bytes": 2})


def test_a_classifier_has_no_cache_to_count(tmp_path: Path) -> None:
    options = {**sentences_folder(tmp_path), "task": "text-classification", "length": 16, "calibration": 32}
    with pytest.raises(ConfigError, match="kv-bytes is of models that write on from a text"):
        HeadsAndNeurons(**options, objectives=["error", "kv-bytes"])


@pytest.mark.parametrize("genes", ["levels", "bits"])
def test_whole_groups_of_query_heads_go_together_unless_they_need_not(genes: str, tmp_path: Path) -> None:
    names = language_folder(tmp_path)
    problem = ready(tmp_path, names, genes=genes)
    attention = problem.open().anatomy.blocks[0].attention
    rng = np.random.default_rng(0)
    for _ in range(20):
        genome = rng.integers(problem.space.levels)
        assert all(attention.whole_groups(plan.heads) for plan in problem.plans(genome))
    single = HeadsAndNeurons(**names, **{**SMALL, "genes": genes}, whole_groups=False)
    assert single.space.levels.sum() > problem.space.levels.sum()


def test_an_earlier_run_goes_on_with_heads_one_by_one_and_32_bit_weights() -> None:
    resolved = {"model": "smollm2", "levels": 4}
    found = HeadsAndNeuronsOptions.of_earlier(resolved, ["perplexity", "bytes"])
    assert found == {**resolved, "own_conventions": False, "whole_groups": False, "dtype": "float32"}
    later = {"own_conventions": True, "whole_groups": True, "dtype": "auto"}
    assert HeadsAndNeuronsOptions.of_earlier(later, ["perplexity"]) == later


def test_the_card_has_hugging_face_s_metadata_and_the_measured_numbers(tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    problem = ready(tmp_path, language_folder(tmp_path))
    exported(problem, problem.space.full, tmp_path / "exported")
    card = ModelCard.load(tmp_path / "exported" / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.pipeline_tag == "text-generation"
    (perplexity, parameters) = problem.evaluate(problem.space.full[None], SEEDS, Split.TEST)[0]
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert measured["perplexity"] == pytest.approx(perplexity, rel=1e-5)
    assert measured["parameters"] == parameters
    assert str(tmp_path) not in card.content.partition("# A model")[0]


LICENSED = "---\nlicense: other\nlicense_name: a-licence\nbase_model: {}\n---\n# A model\n"


@pytest.mark.parametrize(
    ("page", "noted", "wanted"),
    [
        (LICENSED.format("owner/first"), "owner/second", {"base_model": "owner/first", "license": "other"}),
        ("---\nlicense: mit\n---\n", "owner/second", {"base_model": "owner/second", "license": "mit"}),
        ("# No metadata\n", "../elsewhere", {}),
        ("---\nlicense: [\n---\n", "/a/folder", {}),
        (None, "owner/second", {"base_model": "owner/second"}),
    ],
)
def test_the_card_names_licence_and_base_model_as_the_checkpoint_s_own_page_and_config_do(
    page: str | None, noted: str, wanted: dict[str, str], tmp_path: Path
) -> None:
    saved(tmp_path, llama(layers=1))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "_name_or_path": noted}))
    if page is not None:
        (tmp_path / "README.md").write_text(page)
    found = ancestry_of(str(tmp_path))
    assert found.pop("license_name", None) == ("a-licence" if page == LICENSED.format("owner/first") else None)
    assert found == wanted


def modules(place: Path, *kinds: str) -> None:
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    listed += [
        {"idx": 1, "name": "1", "path": f"1_{kind}", "type": f"sentence_transformers.models.{kind}"} for kind in kinds
    ]
    (place / "modules.json").write_text(json.dumps(listed))


@pytest.mark.usefixtures("unverified")
def test_what_follows_an_encoder_for_sentence_transformers_is_carried_along_or_named_as_missing(tmp_path: Path) -> None:
    names = sentences_folder(tmp_path)
    place = Path(names["model"])
    modules(place, "Pooling", "Normalize")
    options = {**names, **SMALL, "task": "text-classification", "calibration": 12, "references": []}
    assert "modules.json of" in (said := HeadsAndNeurons(**options).inspect().notes[0])
    assert "names 1_Pooling, which its folder does not have" in said
    (tmp_path / "elsewhere").mkdir()
    outside = [{"path": "../elsewhere", "type": "sentence_transformers.models.Dense"}]
    (place / "modules.json").write_text(json.dumps(outside))
    (outward,) = said_of_modules(str(place))
    assert outward.startswith(f"modules.json of {place} names ../elsewhere, which its folder does not have")
    modules(place, "Pooling", "Normalize")
    (place / "1_Pooling").mkdir()
    (place / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    problem = ready(tmp_path, options)
    assert problem.inspect().notes == ()
    (tmp_path / "exported").mkdir()
    problem.export(problem.space.full, tmp_path / "exported")
    assert (tmp_path / "exported" / "1_Pooling" / "config.json").read_text() == '{"pooling_mode_mean_tokens": true}'
    assert (tmp_path / "exported" / "modules.json").read_bytes() == (place / "modules.json").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", CAUSAL)
def test_an_uneven_export_of_every_family_is_verified_with_a_cache_in_a_fresh_process(
    kind: str, tmp_path: Path
) -> None:
    problem = ready(tmp_path, language_folder(tmp_path, causal(kind)))
    genome = problem.space.full.copy()
    genome[[1, 5]] = 0, 2
    (tmp_path / "exported").mkdir()
    said = problem.export(genome, tmp_path / "exported")
    assert "with a cache the same as without" in said["written"]
    assert "AutoModelForCausalLM.from_pretrained(trust_remote_code=True)" in said["loaded by"]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_plain_folder_is_said_to_load_by_the_class_that_really_loaded_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ready(tmp_path, language_folder(tmp_path), smallest=1, repair="none")
    genome = problem.space.full.copy()
    genome[0] = 0
    (tmp_path / "exported").mkdir()
    said = problem.export(genome, tmp_path / "exported")
    assert said["loaded by"] == "AutoModelForCausalLM.from_pretrained and load.py"
    write = exporting.write_folder

    def of_no_type(folder: Path, *rest: Any) -> Any:
        layout = write(folder, *rest)
        config = json.loads((folder / "config.json").read_text())
        del config["model_type"]  # which a class of its own does not ask for, and an automatic one does
        (folder / "config.json").write_text(json.dumps(config))
        return layout

    monkeypatch.setattr(exporting, "write_folder", of_no_type)
    (tmp_path / "again").mkdir()
    with pytest.raises(ContractError, match=r"(?s)a fresh process without emoprune cannot load it: .*model_type"):
        problem.export(genome, tmp_path / "again")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_fitted_classifier_s_folder_is_a_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import dynamic_module_utils, pipeline

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    options = {**sentences_folder(tmp_path), "task": "text-classification", "length": 16, "calibration": 32}
    problem = ready(tmp_path, options, levels=4, objectives=["error", "macs"])
    exported(problem, problem.space.full, tmp_path / "exported")
    telling = pipeline("text-classification", model=str(tmp_path / "exported"), trust_remote_code=True)
    assert telling("red dog sees the house")[0]["label"] == "1"
    assert telling("cat dog sees the house")[0]["label"] == "0"


def test_a_whole_mixture_is_fused_again(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    saved(tmp_path / "mixtral", KINDS["Mixtral"]())
    problem = ready(tmp_path, {**language_folder(tmp_path), "model": str(tmp_path / "mixtral")})
    model = exported(problem, problem.space.full, tmp_path / "exported")
    assert same_logits(AutoModelForCausalLM.from_pretrained(tmp_path / "exported").eval(), model)
