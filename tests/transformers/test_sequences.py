"""Encoders with decoders that write one text of another: measured, pruned, repaired, written and loaded again."""

from __future__ import annotations

import csv
import math
import runpy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from language_for_tests import VOCABULARY, drawn, saved, text, tokenizer

from emoprune.contracts import Problem
from emoprune.errors import ConfigError
from emoprune.problems.networks.transformers.data.sequences import SourceTarget, sources_and_targets
from emoprune.problems.networks.transformers.heads_and_neurons import HeadsAndNeurons
from emoprune.problems.networks.transformers.tasks.opening import opened, other_batches
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions
from emoprune.records import Split
from emoprune.testing import ProblemConformance

SEEDS = np.zeros(1, dtype=np.uint64)
TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": 3, "eos_token_id": 2, "decoder_start_token_id": 1}
OPTIONS: dict[str, Any] = {
    "task": "sequence-to-sequence",
    "length": 12,
    "levels": 4,
    "references": ["uniform"],
    "accept_guessing": True,
    **dict.fromkeys(("calibration", "search", "select", "test"), 8),
}


def _made(name: str, **more: Any) -> Any:
    import transformers

    family = name.partition("For")[0]
    return drawn(getattr(transformers, name), getattr(transformers, f"{family}Config")(**TOKENS, **more))


BARTS = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "max_position_embeddings": 64,
    "init_std": 0.2,
    "forced_eos_token_id": None,
}
KINDS: Mapping[str, Callable[[], Any]] = {
    "T5": partial(
        _made,
        "T5ForConditionalGeneration",
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=4,
        initializer_factor=2.0,
    ),
    "BART": partial(_made, "BartForConditionalGeneration", **BARTS),
    "mBART": partial(_made, "MBartForConditionalGeneration", **BARTS),
    "M2M-100": partial(_made, "M2M100ForConditionalGeneration", **BARTS),
}


SOME = [kind if kind == "T5" else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]


def folder(place: Path, kind: str, header: tuple[str, str] = ("source", "target")) -> dict[str, str]:
    """Write a small model, and texts of unequal lengths with what is to be written of them."""
    saved(place / "model", KINDS[kind]())
    with (place / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in range(60):
            words = text(20, seed=row).split()
            writer.writerow([" ".join(words[: 4 + row % 5]), " ".join(words[8 : 11 + row % 4])])
    return {"model": str(place / "model"), "data": str(place / "rows.csv")}


def ready(place: Path, kind: str, **more: Any) -> HeadsAndNeurons:
    problem = HeadsAndNeurons(**folder(place, kind), **{**OPTIONS, **more})
    problem.prepare(place / "run", 1)
    problem.setup("cpu", 1)
    return problem


@pytest.mark.parametrize("kind", SOME)
def test_the_loss_is_the_model_s_own_on_each_text_by_itself(kind: str, tmp_path: Path) -> None:
    problem = ready(tmp_path, kind, objectives=["perplexity", "parameters"])
    model, own = problem.open().task.model, tokenizer()
    losses, tokens = 0.0, 0
    rows = {(row.source, row.target) for row in sources_and_targets(str(tmp_path / "rows.csv"))}
    for batch in problem.open().task.parts["test"]:
        for ids, labels in zip(batch.inputs["input_ids"], batch.labels, strict=True):
            source, target = ids[ids != 3], labels[labels >= 0]
            assert (own.decode(source), own.decode(target)) in rows
            with torch.no_grad():
                losses += float(model(input_ids=source[None], labels=target[None]).loss) * len(target)
            tokens += len(target)
    ((perplexity, _),) = problem.evaluate(problem.space.full[None], SEEDS, Split.TEST)
    assert perplexity == pytest.approx(math.exp(losses / tokens), rel=1e-4)


@pytest.mark.parametrize("kind", SOME)
def test_what_is_pruned_of_both_stacks_is_what_is_exported_and_loaded_again(kind: str, tmp_path: Path) -> None:
    problem = ready(tmp_path, kind, objectives=["loss", "parameters"])
    genome = problem.space.full.copy()
    names = [gene.name for gene in problem.space.genes]
    for name, level in {"0.heads": 2, "0.neurons": 1, "1.heads": 0, "2.heads": 0, "3.neurons": 2, "3.heads": 1}.items():
        genome[names.index(name)] = level
    problem.export_as(genome, tmp_path / "out", ["safetensors"], verify=False)
    loaded = runpy.run_path(str(tmp_path / "out" / "load.py"))["load_model"]()
    model = problem.loaded.narrower.narrowed(problem.plans(genome))
    inputs = dict(problem.open().task.parts["test"][0].inputs)
    with torch.no_grad():
        torch.testing.assert_close(loaded(**inputs).logits, model(**inputs).logits, rtol=1e-4, atol=1e-4)
    parameters = problem.evaluate(genome[None], SEEDS, Split.TEST)[0][1]  # type: ignore[index]  # a row of values
    assert sum(own.numel() for own in {id(own): own for own in loaded.parameters()}.values()) == parameters


def test_repairing_brings_both_stacks_nearer_to_the_unpruned_model(tmp_path: Path) -> None:
    repaired = ready(tmp_path / "repaired", "T5", objectives=["kl", "parameters"], test=12, calibration=24)
    cut = ready(tmp_path / "cut", "T5", objectives=["kl", "parameters"], test=12, calibration=24, repair="none")
    genomes = [reference.genome for reference in cut.references()][1:3]
    found = [[float(own.evaluate(each[None], SEEDS, Split.TEST)[0][0]) for each in genomes] for own in (repaired, cut)]  # type: ignore[index]  # rows
    assert sum(found[0]) < sum(found[1])


def test_other_columns_are_named_and_texts_that_are_cut_are_counted(tmp_path: Path) -> None:
    names = folder(tmp_path, "T5", ("english", "german"))
    plain = {key: own for key, own in OPTIONS.items() if key != "levels"}
    found = opened(TransformerOptions(**names, **{**plain, "length": 5, "texts": ["English", "german"]}))
    assert found.notes[0].startswith("36 of 60 sources are longer than length: 5 tokens and are cut there")
    assert found.notes[1].startswith("15 of 60 targets are longer than length: 5 tokens")
    assert found.task.parts["test"][0].inputs["input_ids"].shape[1] <= 5
    other = other_batches(found, TransformerOptions(**names, **plain, texts=["english", "german"]), names["data"])
    assert sum(len(batch.labels) for batch in other) == 8


@pytest.mark.parametrize(
    ("content", "asked", "complaint"),
    [
        ("one,two\na,b\n", (), "expected the columns source and target or text and summary .* found 'one', 'two'"),
        ("source,target\na,b\nc,\n", (), "row 3: expected a target, found nothing"),
        ("source,target\na,b\n", ("source", "summary"), "expected the columns source and summary, found"),
    ],
)
def test_a_file_of_another_form_is_refused(
    content: str, asked: tuple[str, ...], complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        sources_and_targets(str(tmp_path / "rows.csv"), asked)


def test_pairs_are_read_by_the_usual_names(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"document": "a b", "summary": "c"}\n')
    assert sources_and_targets(str(tmp_path / "rows.jsonl")) == (SourceTarget("a b", "c"),)


def test_a_model_without_a_decoder_is_refused(tmp_path: Path) -> None:
    names = folder(tmp_path, "T5")
    from language_for_tests import llama

    saved(tmp_path / "causal", llama())
    with pytest.raises(ConfigError, match=r"cannot be loaded: .*LlamaConfig"):
        HeadsAndNeurons(**{**names, "model": str(tmp_path / "causal")}, **OPTIONS)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", KINDS)
def test_an_export_writes_the_same_text_with_a_cache_in_a_fresh_process(kind: str, tmp_path: Path) -> None:
    problem = ready(tmp_path, kind)
    genome = problem.space.full.copy()
    names = [gene.name for gene in problem.space.genes]
    genome[names.index("2.heads")], genome[names.index("3.heads")] = 0, 2
    (tmp_path / "out").mkdir()
    said = problem.export(genome, tmp_path / "out")
    assert "with a cache the same as without" in said["written"]
    assert said["loaded by"] == "AutoModelForSeq2SeqLM.from_pretrained(trust_remote_code=True) and load.py"


@pytest.mark.slow
class TestSequences(ProblemConformance):
    genomes: ClassVar[int] = 3
    names: ClassVar[dict[str, str]]

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> None:
        cls.names = folder(tmp_path_factory.mktemp("model"), "T5")

    def problem(self) -> Problem:
        return HeadsAndNeurons(**self.names, **{**OPTIONS, "levels": 3})
