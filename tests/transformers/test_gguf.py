"""Models for llama.cpp: one GGUF file that counts heads, keys and neurons by layer, where its format can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from language_for_tests import gguf, text
from transformers_for_tests import KINDS, SMALL, language_folder

from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons


def ready(place: Path, **more: Any) -> HeadsAndNeurons:
    (place / "words.txt").write_text(text(3000), encoding="utf-8")
    names = {"model": str(gguf(place / "small.gguf", layers=3)), "data": str(place / "words.txt")}
    made = HeadsAndNeurons(**{**SMALL, "references": [], "criterion": "magnitude", **names, **more})
    made.prepare(place / "kept", 1)
    made.setup("cpu", 1)
    return made


def exported(problem: HeadsAndNeurons, genome: Any, folder: Path) -> tuple[Any, Any]:
    """Return what was said of the exported model, and the evaluated one."""
    folder.mkdir()
    said = problem.export_as(genome, folder, ["gguf"], verify=False)
    return said, problem.loaded.narrower.narrowed(problem.plans(genome))


def test_layers_of_one_width_are_a_llama_that_transformers_reads_back(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    problem = ready(tmp_path, uniform=True)
    genome = problem.space.full.copy()
    genome[[1, 3, 4]] = 0, 0, 1
    said, model = exported(problem, genome, tmp_path / "exported")
    assert said["gguf architecture"] == "llama"
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "exported", gguf_file="model.gguf", dtype="float32").eval()
    ids = torch.arange(40).reshape(2, 20) % model.config.vocab_size
    with torch.no_grad():
        torch.testing.assert_close(found(ids).logits, model(ids).logits, rtol=1e-4, atol=1e-4)
    own, before = (
        AutoTokenizer.from_pretrained(place, gguf_file=name)
        for place, name in ((tmp_path / "exported", "model.gguf"), (tmp_path, "small.gguf"))
    )
    assert own("the cat sees").input_ids == before("the cat sees").input_ids


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_of_unequal_width_say_how_wide_each_is(dtype: str, tmp_path: Path) -> None:
    problem = ready(tmp_path, whole_groups=False, dtype=dtype)
    genome = problem.space.full.copy()
    genome[[1, 2, 4, 5]] = 0, 2, 3, 1  # no heads, then three heads of two keys
    said, model = exported(problem, genome, tmp_path / "exported")
    assert said["gguf architecture"] == "deci"
    reader = GGUFReader(tmp_path / "exported" / "model.gguf")
    counts = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
    assert [reader.fields[f"deci.{name}"].contents() for name in counts] == [[0, 3, 4], [0, 3, 2], [24, 12, 48]]
    names = {own.name for own in reader.tensors}
    assert not any(name.startswith("blk.0.attn") for name in names)
    assert len(names) == 3 + 4 + 9 + 9
    (down,) = (own for own in reader.tensors if own.name == "blk.1.ffn_down.weight")
    values = torch.from_numpy(down.data.copy())
    values = values.view(torch.bfloat16).float() if dtype == "bfloat16" else values
    assert torch.equal(values.reshape(32, 12), model.model.layers[1].mlp.down_proj.weight)


def test_what_llama_cpp_cannot_run_is_refused(tmp_path: Path) -> None:
    problem = ready(tmp_path)
    genome = problem.space.full.copy()
    genome[2] = 0
    with pytest.raises(ConfigError, match=r"format gguf: llama\.cpp skips a layer without neurons"):
        exported(problem, genome, tmp_path / "exported")
    other = HeadsAndNeurons(**language_folder(tmp_path / "other"), **SMALL, references=[])
    other.prepare(tmp_path / "other" / "kept", 1)
    other.setup("cpu", 1)
    with pytest.raises(ConfigError, match="expected a model that was read from a GGUF file, whose tokenizer is copied"):
        exported(other, other.space.full, tmp_path / "refused")
    qwen = KINDS["Qwen2, biases"]()
    wrong = HeadsAndNeurons(**language_folder(tmp_path / "wrong", qwen), **SMALL, references=[])
    wrong.prepare(tmp_path / "wrong" / "kept", 1)
    wrong.setup("cpu", 1)
    with pytest.raises(ConfigError, match=r"expected one of llama, mistral .*; found qwen2 \(family\)"):
        exported(wrong, np.copy(wrong.space.full), tmp_path / "refused too")
